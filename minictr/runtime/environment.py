"""Works out the payload's environment: gathered in the launcher, evaluated in the container.

gather() is pure and `minictr plan` prints what it gives. evaluate() runs in the payload, just
before it becomes the command: an image's script is code of the image, and is heard nowhere else.
The rules are apptainer's, found by comparing with apptainer 1.4.5 (tests/integration).
"""

from __future__ import annotations

import posix

from minictr.runtime import variables
from minictr.runtime.variables import DEFAULT_PATH, FIXED, LIBRARIES, PROMPT
from minictr.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from minictr.image.tree import Tree
    from minictr.request import Request
    from minictr.runtime.assignments import Program
    from minictr.runtime.variables import Injected

    Stage = tuple[str, str, Program]

# Apptainer reads scripts as bash does: where one has these, the image's bash goes before its sh.
BASHISMS = (
    "[[",
    "source ",
    "+=",
    "=(",
    "<<<",
    "<(",
    "$'",
    "declare ",
    "function ",
    "shopt ",
    "${!",
)


class ScriptExit(Exception):
    """A signal ended the evaluation: its status is the launch's, and nothing is executed.

    status   128+N for signal N
    script   path of the script that was being read; "" for the launch's own variables
    """

    def __init__(self, status: int, script: str) -> None:
        super().__init__(f"{script} ended with status {status}")
        self.status = status
        self.script = script


class Environment(Value):
    """Everything the payload's environment is made of, the weakest first.

    method     "none": nothing to evaluate; "assignments": by our own evaluator of simple scripts;
               "shell": by the first of `shells` that the container has
    host       (name, value) forwarded from the caller
    given      (name, value) that the launcher sets
    stages     (verb, path, program) in order. "source" a script of the image, at `path` inside,
               which does what `program` says unless it needs a shell; "default_path" where PATH is
               unset; "complete_path" with what it lacks of the default; "base": library path and
               prompt; "inject" what the user asked for; "path" as the user wants it
    injected   (name, value, origin, word): see variables.injected
    raw        injected (name, value) whose name no shell can hold
    env_files  (path, text) of the --env-file fragments that need a shell
    caller     with env_files: the caller's whole environment, which they may read
    command    what the scripts see as their positional parameters
    evaluated  whether injected values are evaluated (not with --no-eval)
    warnings   sentences for the user
    """

    method: str
    host: tuple[tuple[str, str], ...]
    given: tuple[tuple[str, str], ...]
    stages: tuple[Stage, ...]
    injected: tuple[Injected, ...] = ()
    raw: tuple[tuple[str, str], ...] = ()
    env_files: tuple[tuple[str, str], ...] = ()
    caller: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    evaluated: bool = True
    shells: tuple[str, ...] = ("/bin/sh",)
    warnings: tuple[str, ...] = ()


def gather(request: Request, tree: Tree, home: str, working_directory: str) -> Environment:
    """What the payload's environment will be made of.

    home: the home directory inside; working_directory: the caller's, absolute.
    """
    warnings: list[str] = []
    image = variables.absolute(request.image, working_directory)
    from_files, env_files = variables.read_files(request, image, tree.shell, warnings)
    found = variables.asked_for(request, from_files, warnings)
    words, raw = variables.injected(found, request.evaluate, warnings)
    scripts, hard = variables.programs(tree.scripts, tree.shell, warnings)
    if not tree.shell:
        words = [_literal(item, warnings) for item in words]
    method = _method(scripts, words, bool(hard and tree.shell) or bool(env_files))
    host = variables.forwarded(request.host_environment, request.cleanenv)
    names = {name for name, _, _, _ in words}
    return Environment(
        method=method,
        host=tuple(pair for pair in host if pair[0] not in names),
        given=(*variables.given(request, home, image), *_shell_of(request, tree)),
        stages=_stages(scripts),
        injected=tuple(words),
        raw=tuple(raw),
        env_files=env_files,
        caller=(*request.host_environment, ("APPTAINER_IMAGE", image)) if env_files else (),
        command=request.command,
        evaluated=request.evaluate,
        shells=("/bin/bash", "/bin/sh") if _is_bash(hard) else ("/bin/sh",),
        warnings=tuple(warnings),
    )


def evaluate(environment: Environment) -> dict[str, str]:
    """The payload's environment. Runs in the container, in the process that becomes the payload.

    Raises ScriptExit where a signal ended the shell, CallError where a script did, or none runs.
    """
    if environment.method == "shell":
        environment = _with_files_read(environment)
    initial = _initial(environment)
    start = {name: initial[name] for name in ("PWD", "HOME", *FIXED) if name in initial}
    start |= {name: initial[name] for name in variables.SHELL_IDS if name in initial}
    if environment.method == "shell":
        from minictr.runtime import shell

        values, exported = shell.source(environment, start, tuple(initial))
    else:
        values, exported = _interpret(environment, start)
    result = variables.merge(
        initial, values, exported, {name for name, _, _, _ in environment.injected}
    )
    result.update(environment.raw)
    variables.finish(result)
    return result


def _method(scripts: Sequence[object], words: Sequence[Injected], hard: bool) -> str:
    """The cheapest way that does it."""
    if hard or any(word is None for _, _, _, word in words):
        from minictr.runtime import shell  # noqa: F401  evaluate() needs it, after the fork

        return "shell"
    if scripts or any(not isinstance(piece, str) for item in words for piece in item[3] or ()):
        return "assignments"
    return "none"


def _stages(scripts: Iterable[tuple[str, Program]]) -> tuple[Stage, ...]:
    """The image's scripts in their order, and between them what the launcher does itself.

    An image's own 99-base.sh takes the place of "base"; what the user asked for comes right after
    it, so that scripts which sort behind it still see, and can change, that.
    """
    stages: list[Stage] = []
    done = set()

    def once(verb: str) -> None:
        if verb not in done:
            done.add(verb)
            stages.append((verb, "", ()))

    for path, program in scripts:
        name = path.rpartition("/")[2]
        if name >= "90-environment.sh" and path != "/environment":
            once("default_path")
        if name > "99-base.sh" and path != "/environment":
            once("base")
            once("inject")
        if name > "99-runtimevars.sh" and path != "/environment":
            once("path")
        stages.append(("source", path, program))
        if path == "/environment" or name in ("10-docker2singularity.sh", "10-docker.sh"):
            stages.append(("complete_path", "", ()))
        if name == "99-base.sh":
            done.add("base")
            once("inject")
    for verb in ("base", "inject", "path"):
        once(verb)
    return tuple(stages)


def _literal(item: Injected, warnings: list[str]) -> Injected:
    """The same variable for an image without a shell."""
    name, value, origin, word = item
    if word is not None:
        return item
    warnings.append(
        f"the value of {name} needs a shell and the image has no /bin/sh: not evaluated"
    )
    return name, value, origin, (value,)


def _is_bash(text: str) -> bool:
    return any(sign in text for sign in BASHISMS)


def _shell_of(request: Request, tree: Tree) -> tuple[tuple[str, str], ...]:
    """SHELL, where the action is `shell` and the choice of the shell is ours."""
    if request.action != "shell" or request.shell:
        return ()
    from minictr.image.tree import kind_of

    bash = kind_of(tree.root, "/bin/bash") == "file"
    return (("SHELL", "/bin/bash" if bash else "/bin/sh"),)


def _initial(environment: Environment) -> dict[str, str]:
    """What the payload gets where no script and no user says otherwise."""
    initial = dict(environment.host)
    initial.update(environment.given)
    try:
        initial["PWD"] = posix.getcwd()
    except OSError:  # a directory nobody can name any more: better no PWD than the host's
        initial.pop("PWD", None)
    return initial


def _with_files_read(environment: Environment) -> Environment:
    """The environment with the --env-file fragments that need a shell evaluated by it."""
    if not environment.env_files:
        return environment
    from minictr.runtime import shell

    named = [(name, value, origin) for name, value, origin, _ in environment.injected]
    found = {name: (value, origin) for name, value, origin in named if origin != "--env"}
    for path, text in environment.env_files:
        for name, value in shell.assigned_by(environment, path, text).items():
            found[name] = (value, path)
    found |= {name: (value, origin) for name, value, origin in named if origin == "--env"}
    words, raw = variables.injected(found, environment.evaluated, [])
    return environment.replace(
        host=tuple(pair for pair in environment.host if pair[0] not in found),
        injected=tuple(words),
        raw=(*environment.raw, *raw),
    )


def _interpret(environment: Environment, start: dict[str, str]) -> tuple[dict[str, str], set[str]]:
    """Go through the stages without a shell: the variables, and the names that are exported."""
    values = dict(zip(variables.SHELL_IDS, variables.ids(), strict=True)) | start
    exported = set(start)
    for verb, _, program in environment.stages:
        if verb == "source":
            from minictr.runtime import assignments

            assignments.run(program, values, exported)
        elif verb == "inject":
            _inject(environment.injected, values, exported)
        elif verb == "base":
            before = values.get("LD_LIBRARY_PATH")
            values["LD_LIBRARY_PATH"] = f"{before}:{LIBRARIES}" if before else LIBRARIES
            values["PS1"] = values.get("PS1") or PROMPT
            exported |= {"LD_LIBRARY_PATH", "PS1"}
        elif verb == "path":
            variables.apply_path(values)
            exported.add("PATH")
        elif verb == "complete_path" or "PATH" not in values:
            values["PATH"] = variables.complete_path(values.get("PATH", ""))
            exported.add("PATH")
    return values, exported


def _inject(injected: Iterable[Injected], values: dict[str, str], exported: set[str]) -> None:
    if "PATH" not in values:
        values["PATH"] = DEFAULT_PATH
        exported.add("PATH")
    for name, _, _, word in injected:
        pieces = word or ()
        if len(pieces) == 1 and isinstance(pieces[0], str):
            values[name] = pieces[0]
        else:
            from minictr.runtime import words

            values[name] = words.expand(pieces, values)
        exported.add(name)
