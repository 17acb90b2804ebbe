"""What stops the environment from being worked out: a script that ends the shell reading it."""

from __future__ import annotations

import re
import resource

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.tasks import startable
from minictr.diagnosis.values import Proof, Unknown, Verdict
from minictr.image.refusals import printable

# "line 2: syntax error: ..." of bash and busybox, "2: Syntax error: ..." of dash.
_WITH_LINE = re.compile(r"(?:line )?([0-9]+): (.+)")

# With less than this the shell itself may have failed: it opens descriptors above 9 for a script.
_ENOUGH = {"RLIMIT_NOFILE": 32, "RLIMIT_AS": 256 << 20, "RLIMIT_DATA": 256 << 20}
_CHILDREN = 16


@cause(
    "MC0631",
    "the image's shell does not come to the end of a file of --env-file",
    stops=("EvaluateEnvironment",),
)
def fragment_without_end(interview: Interview) -> Verdict:
    r"""A file of --env-file that has more than assignments is a fragment of a script, which the
    image's own shell evaluates in the container. The shell found its syntax wrong, or the fragment
    ended it: by exit, by ${NAME?WORDS} or set -u for a variable that is not set, by set -e. The
    variables behind its last line never came, so that the command is not started.

    Reproduction (an ordinary user):

        printf 'A=1\nfi\n' >"$DIRECTORY/variables"
        minictr exec --env-file "$DIRECTORY/variables" "$IMAGE" true

    Fix, user: correct the line that the report names; take out what ends the shell.

    Fix, administrator: none.

    Not the cause: a variable that the fragment names and the caller has not, which is empty; an
    image without a shell, of whose launch a warning says which line was not read.

    Sources: POSIX.1-2024, Shell Command Language, 2.8.1, Consequences of Shell Errors, and sh, -n.
    """
    failure = interview.failure
    if failure.call != "sh":
        return None
    _, path, status = failure.arguments
    name = printable(str(path))
    said = failure.said.splitlines()
    if not said and (short := _short(interview)):
        return short
    if not said:
        return Proof(
            f"{name} ends the shell that evaluates it, with status {status}",
            ("the variables behind its last line did not come back from the shell",),
            fix_user=f"Take out of {name} what ends the shell.",
        )
    found = _WITH_LINE.fullmatch(said[0])
    line, wrong = (f", line {found[1]}", found[2]) if found else ("", said[0])
    return Proof(
        f"{name}{line}: {printable(wrong)}",
        tuple(f"the image's shell, asked by sh -n: {printable(words)}" for words in said),
        fix_user=f"Correct {name}{line}.",
    )


@cause(
    "MC0632",
    "a script of the image's environment ends the shell that reads it",
    stops=("EvaluateEnvironment",),
)
def script_without_end(interview: Interview) -> Verdict:
    """The scripts in /.singularity.d/env of an image say what the environment of a command is. One
    shell of the image's reads them one after the other, and one of them ended it: by exit, exec or
    an error in its syntax, by ${NAME?WORDS} or set -u for a variable that is not set, by set -e.
    What the environment would have been is not known, and the command is not started. The exit
    status is the script's own.

    Reproduction (an ordinary user):

        mkdir -p "$IMAGE/.singularity.d/env"
        echo 'cd / && exit 3' >"$IMAGE/.singularity.d/env/10-site.sh"
        minictr exec "$IMAGE" true

    Fix, user: where the image is built, take out of the script what ends the shell. Until then the
    command in the report leaves that script out: /dev/null, bound over it, is not read.

    Fix, administrator: none.

    Not the cause: a script that ends itself alone, by return; one in which a command fails, where
    set -e is not in force; a signal, which ends the launch as it would the command.

    Sources: POSIX.1-2024, Shell Command Language, 2.8.1, Consequences of Shell Errors, and exit.
    """
    if interview.failure.call != "source":
        return None
    if short := _short(interview):
        return short
    path, status = interview.failure.arguments
    name = printable(str(path))
    fixes = [f"Take out of {name}, where the image is built, what ends the shell."]
    if not any(sign in str(path) for sign in ":,"):  # which end a path in the option
        fixes.append(again(interview.request, "-B", f"/dev/null:{path}"))
    return Proof(
        f"{name} ends the shell that reads it, with status {status}",
        ("the shell had begun to read it, and did not come to what stands behind it",),
        fix_user="\n".join(fixes),
    )


def _short(interview: Interview) -> Unknown | None:
    """What the shell may have been short of, of which it says so itself."""
    for name, enough in _ENOUGH.items():
        limit = resource.getrlimit(getattr(resource, name))[0]
        if limit != resource.RLIM_INFINITY and limit < enough:
            return Unknown(f"{name} is {limit}, which the shell may have reached")
    left = interview.once(startable, _CHILDREN)
    if left < _CHILDREN:
        return Unknown(
            f"no more than {left} further processes can be started: the shell needs some"
        )
    return None
