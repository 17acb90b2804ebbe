"""run, exec, shell and test: from a Request to the exit status of what ran."""

from __future__ import annotations

from minictr.cli import messages, names
from minictr.host import read_host
from minictr.image import index
from minictr.image.tree import kind_of
from minictr.modules import cache_directory
from minictr.refusal import Refusal
from minictr.runtime import environment, seccomp
from minictr.runtime.launch import Failure, launch
from minictr.runtime.places import home_of, name_of_directory, real
from minictr.runtime.plan import make_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.cli.names import Name
    from minictr.host import Host
    from minictr.image.tree import Tree
    from minictr.request import Request
    from minictr.runtime.launch import Plan
    from minictr.runtime.step import Step

RUNSCRIPT = "/.singularity.d/runscript"
TEST = "/.singularity.d/test"
_ORDINARY = 125  # the largest exit status that no shell gives a meaning of its own
# What a launch was made of. A process that ends need not free it, which takes 0.1 ms.
_held: list[object] = []


def main(request: Request) -> int:
    """Launch what was asked for. The payload's exit status, or that of a launcher's failure.

    Minus the signal that ended the payload, where it is to end this process, too.
    """
    host = read_host()
    cache = cache_directory(dict(request.host_environment))
    try:
        tree = tree_of(request, cache)
        plan = prepare(request, host, tree, cache)
    except Refusal as refusal:
        return _refused(request, refusal)
    except PermissionError as error:
        from minictr.cli.lost import closed_since

        return _refused(request, closed_since(error, (cache, real(cache))))
    if plan is None:
        return 0
    _held.extend((request, host, tree, plan))
    try:
        return _launched(request, host, tree, plan)
    finally:
        if tree.served:  # until here the image can be looked at
            from minictr.cli.first import let_go

            if text := let_go(tree):
                messages.warn(request, text)


def _launched(request: Request, host: Host, tree: Tree, plan: Plan) -> int:
    """Launch, and say what went wrong."""
    for note in plan.notes:
        messages.say(request, note, "verbose")
    killed = _killed(request)
    outcome = launch(plan, _trace if request.trace else None)
    if isinstance(outcome, Failure):
        from minictr.cli.outcome import failed

        return failed(request, host, plan, outcome, tree)
    if outcome.status > _ORDINARY:
        from minictr.cli.outcome import ended

        ended(request, host, plan, outcome, killed, tree)
        if outcome.code < 0 and not plan.init and names.named(request.program).ends_alike:
            return outcome.code
    return outcome.status


def tree_of(request: Request, cache: str, behind: bool = True) -> Tree:
    """The image's tree: as it was unpacked before, or the long way. Raises Refusal.

    behind   whether a process may be left that unpacks the image for the launches to come
    """
    tree = index.find(request.image, cache)
    if tree is None:
        from minictr.image.directory import directory_tree

        tree = directory_tree(real(request.image))
    if tree is None:
        from minictr.cli.first import first_tree

        return first_tree(request, cache, behind)
    return tree


def prepare(request: Request, host: Host, tree: Tree, cache: str) -> Plan | None:
    """Compile what has to be compiled, and plan; None for nothing to do. Raises Refusal."""
    for level, text in request.notices:
        messages.tell(request.program, request.verbosity, level, text)
    for kind, device in (("nv", "/dev/nvidiactl"), ("rocm", "/dev/kfd")):
        if kind in request.gpu and host.exists(device):
            messages.warn(request, f"--{kind}: the host's driver libraries are not bound yet")
    if (physical := real(cache)) != cache:  # where the tree is mounted its links lead nowhere
        tree = tree.replace(root=tree.root.replace(cache, physical, 1)) if tree.name else tree
        cache = physical
    if request.action == "test" and not _has(tree, TEST):
        _look_for(tree, TEST)
        messages.say(request, "No test script found in container, exiting")
        return None

    def say(text: str) -> None:
        messages.say(request, text, "verbose")

    program = seccomp.filter_for(request.seccomp, request.fakeroot, cache, say)
    variables = environment.gather(request, tree, home_of(request, host), host.working_directory)
    for warning in variables.warnings:
        messages.warn(request, warning)
    if variables.method == "shell":  # which passes over a script that is not there
        _look_for(tree, *(path for path, _ in tree.scripts if not _has(tree, path)))
    command = command_of(request, tree, names.named(request.program))
    return make_plan(
        request, tree, host, cache, variables, command, program, _elsewhere(request, host)
    )


def _elsewhere(request: Request, host: Host) -> str:
    """The warning for a working directory that the container does not have."""
    directory = name_of_directory(request, host) or host.working_directory
    text = f"the working directory {directory} is not in the container: using {{}}"
    return messages.line(request.program, request.verbosity, "warning", text)


def command_of(request: Request, tree: Tree, name: Name) -> tuple[str, ...]:
    """What to execute in the container: argv of the payload."""
    if request.action == "shell":
        return _shell(request, tree)
    if request.action == "test":
        return (TEST, *request.command)
    if request.action == "exec":
        return request.command
    if tree.runscript == "own" or (tree.runscript and not name.command_first):
        return (RUNSCRIPT, *request.command)
    if name.command_first and request.command:
        return request.command
    messages.say(request, "No runscript found in container, executing /bin/sh")
    return ("/bin/sh", *request.command)


def _shell(request: Request, tree: Tree) -> tuple[str, ...]:
    if request.shell:
        return (request.shell, *request.command)
    if _has(tree, "/bin/bash"):
        return ("/bin/bash", "--norc", *request.command)
    return ("/bin/sh", *request.command)


def _has(tree: Tree, path: str) -> bool:
    return kind_of(tree.root, path) == "file"


def _look_for(tree: Tree, *absent: str) -> None:
    """Say nothing of files that the image has not. Raises Refusal where its tree has lost one."""
    if tree.name and absent:
        from minictr.cli.lost import look_for

        for path in absent:
            look_for(path, tree.root)


def _trace(phase: str, step: Step, moment: int) -> None:
    what = messages.visible(f"{step.verb()} {step.operands()}")
    messages.write(f"{moment % 1_000_000_000:>9} µs  {phase:8} {what}\n")


def _refused(request: Request, refusal: Refusal) -> int:
    from minictr.cli import reports

    return reports.refusal(request, refusal)


def _killed(request: Request) -> int:
    """How often the kernel ran out of memory here so far; -1 unless -v asks for the price of it."""
    if request.verbosity < 1:
        return -1
    from minictr.diagnosis.probes.memory import oom_kills

    return oom_kills()
