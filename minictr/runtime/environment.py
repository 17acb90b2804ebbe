"""Works out the payload's environment: gathered in the launcher, evaluated in the container.

gather() is pure and its result is printed by `minictr plan`. evaluate() runs in the payload, just
before it becomes the command: an image's script is code of the image, and is heard nowhere else.
The rules are apptainer's, found by comparing with apptainer 1.4.5 (tests/integration).
"""

from __future__ import annotations

import posix

from minictr.runtime.given import collect, forwarded, given
from minictr.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from minictr.image.tree import Tree
    from minictr.request import Request
    from minictr.runtime.assignments import Program, Word
    from minictr.runtime.given import Injected

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIBRARIES = "/.singularity.d/libs"  # where --nv binds the host's driver libraries
PROMPT = "Apptainer> "
# Read-only to the image's scripts; only the user can give them another value.
FIXED = ("APPTAINER_NAME", "APPTAINER_CONTAINER")
# What an interpreter in the image lacks and scripts written for apptainer have used.
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
    """A script ended the evaluation: its exit status is the launch's, and nothing is executed.

    status   the exit status, 128+N for signal N
    script   path of the script that was being read; "" for the values given by the user
    """

    def __init__(self, status: int, script: str) -> None:
        super().__init__(f"{script} ended with status {status}")
        self.status = status
        self.script = script


class Environment(Value):
    """Everything the environment is made of, in the order of growing precedence.

    method     how it is evaluated: "none" (nothing to evaluate), "assignments" (by our own
               evaluator of simple scripts) or "shell" (by the first of `shells` that is there)
    host       (name, value) forwarded from the caller
    given      (name, value) that the launcher sets
    stages     (verb, path of the image's script, its program), verbs of STAGES, in order
    injected   (name, value, origin, word): what the user asked for; word is None for a plain value
    raw        injected (name, value) whose name no shell can hold
    env_files  (path, text) of the --env-file fragments that need a shell
    caller     with env_files: the caller's whole environment, which they may read
    command    the image's scripts see it as their positional parameters
    evaluated  whether a shell evaluates injected values (not with --no-eval)
    warnings   sentences for the user
    """

    method: str
    host: tuple[tuple[str, str], ...]
    given: tuple[tuple[str, str], ...]
    stages: tuple[tuple[str, str, Program], ...]
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
    injected, env_files, raw, warnings = collect(request, working_directory)
    scripts, complex_text = _programs(tree, warnings)
    for name, value, origin, _ in injected:
        ...
    return Environment("none", (), (), ())
