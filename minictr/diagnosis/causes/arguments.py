"""What stops the command: arguments and environment that are too big together, or one alone."""

from __future__ import annotations

import errno
import resource

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import printable
from minictr.runtime.execute import Execute
from minictr.value import Value

_LEAST = 131072  # ARG_MAX of include/uapi/linux/limits.h: so much is always allowed
_MOST = 6 << 20  # three quarters of _STK_LIM, whatever the limit on the stack is
_STEP = 1 << 20  # bytes by which the limit on the stack is advised
_PAGES = 32  # MAX_ARG_STRLEN of include/uapi/linux/binfmts.h


class Sizes(Value):
    """What execve(2) was given: bytes as it counts them, strings, and the longest of these."""

    total: int
    strings: int
    longest: int
    name: str
    is_variable: bool

    def words(self) -> str:
        longest = printable(self.name) if self.is_variable else f"argument {self.name}"
        return (
            f"{self.strings} strings, with a NUL and a pointer each: {self.total} bytes; "
            f"the longest is {longest}, {self.longest - 1} bytes"
        )


@cause(
    "MC0612",
    "one argument or variable is longer than the kernel takes",
    stops=("Execute",),
    errnos=(errno.E2BIG,),
)
def string_too_long(interview: Interview) -> Verdict:
    r"""One string among the arguments and the environment has more bytes than 32 pages have: 131071
    fit where a page has 4096. No limit raises that.

    Reproduction (an ordinary user):

        x=$(head -c 140000 /dev/zero | tr '\0' x)
        printf 'LONG=%s\n' "$x" >"$DIRECTORY/variables"
        minictr exec --env-file "$DIRECTORY/variables" "$IMAGE" true

    Fix, user: hand the text over in a file, or through standard input; unset a variable, or take it
    out of the file of --env-file.

    Fix, administrator: none is possible.

    Not the cause: the sum of all strings, for which ulimit -s counts; the number of files.

    Sources: execve(2), "Limits on size of arguments and environment"; fs/exec.c, copy_strings;
    include/uapi/linux/binfmts.h, MAX_ARG_STRLEN.
    """
    sizes = _sizes(interview)
    if not isinstance(sizes, Sizes):
        return sizes
    most = resource.getpagesize() * _PAGES
    if sizes.longest <= most:
        return Excluded(f"the longest string has {sizes.longest - 1} bytes of {most - 1}")
    what = f"argument {sizes.name}"
    fix = f"Give the text of {what} in a file, or through standard input."
    if sizes.is_variable:
        what, fix = f"the variable {printable(sizes.name)}", _without(interview, sizes.name)
    return Proof(
        f"{what} is longer than the kernel takes: {sizes.longest - 1} bytes",
        (f"one string may have {most - 1} bytes: {_PAGES} pages less the NUL",),
        fix_user=fix,
    )


@cause(
    "MC0613",
    "arguments and environment are bigger than a quarter of the stack's limit",
    stops=("Execute",),
    errnos=(errno.E2BIG,),
)
def more_than_the_stack(interview: Interview) -> Verdict:
    r"""Arguments and environment lie on the new program's stack, and may fill a quarter of it: of
    RLIMIT_STACK, which is 8 MiB mostly. Every string costs its bytes, a NUL and a pointer.

    Reproduction (an ordinary user):

        x=$(head -c 100000 /dev/zero | tr '\0' x)
        for name in A B C; do printf '%s=%s\n' "$name" "$x"; done >"$DIRECTORY/variables"
        ulimit -S -s 1024
        minictr exec --env-file "$DIRECTORY/variables" "$IMAGE" true

    Fix, user: raise the limit in the calling shell, ulimit -s; the report has the number. Beyond
    6 MiB no limit helps.

    Fix, administrator: raise the hard limit, where that is what is too low: limits.conf(5).

    Not the cause: a single long string, which has a bound of its own; xargs and find split their
    arguments by themselves.

    Sources: execve(2), "Limits on size of arguments and environment"; fs/exec.c,
    bprm_stack_limits.
    """
    sizes = _sizes(interview)
    if not isinstance(sizes, Sizes):
        return sizes
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    allowed = _allowed(soft)
    if sizes.total <= allowed or allowed == _MOST:
        return Excluded(_fits(sizes, allowed))
    kibibytes = (4 * sizes.total // _STEP + 1) * _STEP // 1024  # with room for a variable more
    fix, of_administrator = f"ulimit -S -s {kibibytes} && {again(interview.request)}", ""
    if hard != resource.RLIM_INFINITY and hard < 1024 * kibibytes:
        user = interview.host.user
        of_administrator = (
            f"echo '{user} - stack {kibibytes}' >/etc/security/limits.d/{user}-stack.conf"
        )
        fix = ""
    return Proof(
        f"arguments and environment have {sizes.total} bytes, and {allowed} are allowed",
        (
            sizes.words(),
            f"getrlimit(RLIMIT_STACK): {soft}, of which a quarter may be arguments and environment",
        ),
        fix_user=fix,
        fix_administrator=of_administrator,
    )


@cause(
    "MC0614",
    "arguments and environment are bigger than 6 MiB",
    stops=("Execute",),
    errnos=(errno.E2BIG,),
)
def more_than_ever(interview: Interview) -> Verdict:
    r"""However large the limit on the stack is, arguments and environment together have 6 MiB at
    most, three quarters of the usual stack. Every string costs its bytes, a NUL and a pointer.

    Reproduction (an ordinary user):

        x=$(head -c 130000 /dev/zero | tr '\0' x)
        for number in $(seq 50); do printf 'V%s=%s\n' "$number" "$x"; done >"$DIRECTORY/variables"
        ulimit -S -s 65536
        minictr exec --env-file "$DIRECTORY/variables" "$IMAGE" true

    Fix, user: split the arguments, as xargs does, or hand them over in a file.

    Fix, administrator: none is possible.

    Not the cause: ulimit -s, which allows more already.

    Sources: execve(2), "Limits on size of arguments and environment"; fs/exec.c,
    bprm_stack_limits, _STK_LIM.
    """
    sizes = _sizes(interview)
    if not isinstance(sizes, Sizes):
        return sizes
    allowed = _allowed(resource.getrlimit(resource.RLIMIT_STACK)[0])
    if sizes.total <= allowed or allowed < _MOST:
        return Excluded(_fits(sizes, allowed))
    return Proof(
        f"arguments and environment have {sizes.total} bytes, and the kernel takes {_MOST}",
        (sizes.words(),),
        fix_user="Give the arguments in a file, or in several launches, as xargs does.",
    )


def _sizes(interview: Interview) -> Sizes | Unknown | None:
    """What execve(2) was given, in bytes, as the payload counted it."""
    failure = interview.failure
    if not isinstance(failure.step, Execute) or failure.call != "execve":
        return None
    if len(failure.arguments) < 2 or not isinstance(failure.arguments[1], tuple):
        return Unknown("the sizes of arguments and environment are not known")
    total, strings, longest, which = failure.arguments[1]
    return Sizes(total, strings, longest, which.removesuffix("="), which.endswith("="))


def _without(interview: Interview, name: str) -> str:
    """What takes the variable out of the launch, by where it comes from."""
    request = interview.request
    for path, text in request.env_files:
        if any(line.partition("=")[0].split()[-1:] == [name] for line in text.splitlines()):
            return f"Take {printable(name)} out of {path}."
    if name in dict(request.host_environment):
        return f"unset {printable(name)}; {again(request)}"
    return f"Shorten {printable(name)} where the image or an option sets it."


def _allowed(soft: int) -> int:
    """What fs/exec.c, bprm_stack_limits, allows under a limit on the stack."""
    quarter = _MOST if soft == resource.RLIM_INFINITY else min(soft // 4, _MOST)
    return max(quarter, _LEAST)


def _fits(sizes: Sizes, allowed: int) -> str:
    return f"they have {sizes.total} bytes, and {allowed} are allowed"
