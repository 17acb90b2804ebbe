"""run, exec, shell and test: from a Request to the exit status of what ran."""

from __future__ import annotations

from minictr.cli import messages, names
from minictr.host import read_host
from minictr.image import index
from minictr.image.tree import kind_of
from minictr.modules import cache_directory
from minictr.refusal import Refusal
from minictr.runtime import environment, seccomp
from minictr.runtime.launch import Failure, dismiss, launch
from minictr.runtime.places import home_of, name_of_directory, real
from minictr.runtime.plan import make_plan
from minictr.runtime.signals import catch_interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.cli.names import Name
    from minictr.diagnosis.values import Diagnosis
    from minictr.host import Host
    from minictr.image.tree import Tree
    from minictr.request import Request
    from minictr.runtime.launch import Exit, Plan
    from minictr.runtime.step import Step

RUNSCRIPT = "/.singularity.d/runscript"
TEST = "/.singularity.d/test"
_NOT_FOUND = 127
_CUT_SHORT = "MC0647"  # a file of the tree that has less than it says
_UNREAD = (2, 5)  # ENOENT and EIO: what squashfuse answers for what it cannot read
_BUILT_AGAIN = (127, 135, 137, 139)  # and 128 + SIGBUS, SIGKILL, SIGSEGV: death.py looks inside
_ORDINARY = 125  # the largest exit status that no shell gives a meaning of its own


def main(request: Request) -> int:
    """Launch what was asked for. The payload's exit status, or that of a launcher's failure."""
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
    for note in plan.notes:
        messages.say(request, note, "verbose")
    killed = _killed(request)
    outcome = launch(plan, _trace if request.trace else None)
    try:
        if isinstance(outcome, Failure):
            return _failed(request, host, plan, outcome, tree)
        if outcome.status > _ORDINARY:
            _explain(request, host, plan, outcome, killed, tree)
        return outcome.status
    finally:
        if tree.served:  # until here the image can be looked at
            _served(request, tree)


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
    messages.write(f"{moment % 1_000_000_000:>9} µs  {phase:8} {step.verb()} {step.operands()}\n")


def _served(request: Request, tree: Tree) -> None:
    """End what served the image to this launch alone; what unpacks it behind may go on."""
    from minictr.cli.first import let_go

    if text := let_go(tree):
        messages.warn(request, text)


def _refused(request: Request, refusal: Refusal) -> int:
    from minictr.cli import reports

    return reports.refusal(request, refusal)


def _killed(request: Request) -> int:
    """How often the kernel ran out of memory here so far; -1 unless -v asks for the price of it."""
    if request.verbosity < 1:
        return -1
    from minictr.diagnosis.probes.memory import oom_kills

    return oom_kills()


def _explain(
    request: Request, host: Host, plan: Plan, ended: Exit, killed: int, tree: Tree
) -> None:
    """Say what ended the command, where that is proved. It is the command's affair else."""
    from minictr.cli import reports
    from minictr.diagnosis.death import explain

    if tree.served and ended.status in _BUILT_AGAIN:
        from minictr.cli.first import served_again

        with served_again(request, tree):
            diagnosis = explain(ended, plan, host, request, killed)
    else:
        diagnosis = explain(ended, plan, host, request, killed)
    absent = ended.status == _NOT_FOUND
    if diagnosis and diagnosis.failure and (absent or diagnosis.code == _CUT_SHORT):
        diagnosis = _of_the_image(request, plan, diagnosis.failure, tree, diagnosis, absent)
    if diagnosis:
        reports.death(request, diagnosis, ended.status)


def _failed(request: Request, host: Host, plan: Plan, failure: Failure, tree: Tree) -> int:
    """Interview the witness, report, let it go."""
    from minictr.cli import reports
    from minictr.diagnosis import diagnose

    catch_interrupts()
    try:
        diagnosis = diagnose(failure, plan, host, request)
        absent = failure.phase == "execute" and failure.errno in _UNREAD
        diagnosis = _of_the_image(request, plan, failure, tree, diagnosis, absent)
        return reports.failure(request, failure, diagnosis)
    finally:
        dismiss(failure)


def _of_the_image(
    request: Request, plan: Plan, failure: Failure, tree: Tree, found: Diagnosis, absent: bool
) -> Diagnosis:
    """The diagnosis; another where the image is served damaged, or its tree is not whole any more.

    absent   whether it is about something that the image is said not to have
    """
    if tree.served and absent:
        from minictr.cli.first import unless_damaged

        return unless_damaged(request, found)
    if tree.name:
        from minictr.cli.lost import unless_lost
        from minictr.diagnosis.again import again

        return unless_lost(found, failure, plan, tree, again(request))
    return found
