"""Runs scripts in the image's own shell and reads back what they set and export.

One process: the shell sources the scripts with the caller's variables hidden, and ends with its
builtin `export -p` into a memory file on descriptor 9. A pipe would not do: a daemon that a script
starts keeps it open, and its end never comes.
"""

from __future__ import annotations

import fcntl
import posix
import sys

from minictr.image.tree import may
from minictr.runtime.environment import ScriptExit
from minictr.runtime.exports import is_name, parse_exports
from minictr.runtime.syscalls import CallError
from minictr.runtime.variables import DEFAULT_PATH, LIBRARIES, PROMPT, SHELL_IDS, ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.runtime.environment import Environment
    from minictr.runtime.variables import Injected

STDERR = 2
DUMP = 9  # dash and busybox redirect descriptors of one digit only
SCRIPT = 8
READ = f"/proc/self/fd/{SCRIPT}"
MAX_ARG_STRLEN = 131072  # bytes of one argument with its NUL: include/uapi/linux/binfmts.h
MFD_CLOEXEC, MFD_NOEXEC_SEAL = 0x0001, 0x0008
EINVAL = 22

# Variables that shells make for themselves; apptainer's interpreter does not.
FORGET = "unset PATH PS1 TERM SHELL SHLVL OLDPWD HOSTNAME HOSTTYPE MACHTYPE OSTYPE"
# Whether these are set says nothing about the scripts.
DYNAMIC = frozenset((
    "_", "UID", "EUID", "GID", "PWD", "IFS", "OPTIND", "OPTARG", "OPTERR", "LINENO", "RANDOM",
    "SRANDOM", "SECONDS", "PPID", "DIRSTACK", "GROUPS", "FUNCNAME", "HISTCMD", "PS2", "PS4",
    "SHELLOPTS", "BASHOPTS", "EPOCHSECONDS", "EPOCHREALTIME", "COLUMNS", "LINES", "OLDPWD",
))  # fmt: skip
OWN = ("_", "PWD", "OLDPWD")  # exported by shells whatever the scripts do
COMPLETE_PATH = "\n".join(
    f"case :$PATH: in *:{name}:*) ;; *) PATH=${{PATH:+$PATH:}}{name} ;; esac"
    for name in DEFAULT_PATH.split(":")
)
ASKED = "SING_USER_DEFINED_"
PATH = f"${{{ASKED}PREPEND_PATH:+${ASKED}PREPEND_PATH:}}${{PATH-{DEFAULT_PATH}}}"
STAGES = {
    "default_path": f': "${{PATH={DEFAULT_PATH}}}"; export PATH',
    "complete_path": f': "${{PATH=}}"; export PATH\n{COMPLETE_PATH}',
    "base": f'export LD_LIBRARY_PATH="${{LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}}{LIBRARIES}"'
    f' PS1="${{PS1:-{PROMPT}}}"',
    "path": f'PATH="${{{ASKED}PATH:-{PATH}${{{ASKED}APPEND_PATH:+:${ASKED}APPEND_PATH}}}}"\n'
    f"export PATH; unset {ASKED}PATH {ASKED}PREPEND_PATH {ASKED}APPEND_PATH",
}
# The shell's own, and no alias or function of a script's: unset is found before functions are.
ECHO, EXPORT, PRINTF = (
    rf"\unset -f command; \command {name}" for name in ("echo", "export", "printf")
)


def source(
    environment: Environment, visible: dict[str, str], names: tuple[str, ...]
) -> tuple[dict[str, str], set[str]]:
    """Go through the stages: (variables, names of those exported).

    visible: what the scripts see of the caller's variables. names: those of which we want to know
    whether a script set them without exporting them.
    """
    asked = [name for name in names if is_name(name) and name not in DYNAMIC]
    lines = [FORGET]
    lines += [f': "${{{name}={value}}}"' for name, value in zip(SHELL_IDS, ids(), strict=True)]
    for index, (verb, path, _) in enumerate(environment.stages):
        lines.append(f"{ECHO} '#{index}' >&{DUMP}")
        if verb == "source":
            quoted = single_quoted(path)  # a script may open DUMP for itself, as for flock(1)
            lines.append(f"{{ [ ! -f {quoted} ] || . {quoted}; }} {DUMP}>&-")
        elif verb == "inject":
            lines += [STAGES["default_path"], *map(export, environment.injected)]
        else:
            lines.append(STAGES[verb])
    lines.append(dump(asked))
    status, said = run(environment, "\n".join(lines), visible)
    values, known = read_dump(said)
    if values is None:
        raise ended(environment, status, said)
    for name in OWN:
        values.pop(name, None)
    exported = set(values)
    for name in known:
        values.setdefault(name, "")
    return values, exported


def ended(environment: Environment, status: int, said: str) -> ScriptExit | CallError:
    """What to raise where the shell did not come to its end: ScriptExit for a signal.

    Else CallError, "source" where the script named ended it, "set" where what the launch sets did.
    """
    before, dumped, _ = said.partition("#dump\n")  # which comes when all of them have been read
    reached = "" if dumped else before.rpartition("#")[2].strip()
    path = environment.stages[int(reached)][1] if reached.isdigit() else ""
    if status < 0:
        return ScriptExit(128 - status, path)
    return CallError("source" if path else "set", (path, status), 0)


def assigned_by(environment: Environment, path: str, text: str) -> dict[str, str]:
    """What an --env-file fragment assigns: it sees, and may change, the caller's variables.

    Raises ScriptExit where a signal ended the shell, CallError where the fragment did: with what
    the shell finds wrong in its syntax.
    """
    caller = {name: value for name, value in environment.caller if name != "BASH_ENV"}
    status, said = run(environment, f"set -a\n{text}\n{dump(())}", caller)
    values, _ = read_dump(said)
    if values is None and status < 0:
        raise ScriptExit(128 - status, path)
    if values is None:
        wrong = objection(environment, text)
        raise CallError("sh", ("-n" if wrong else "-c", path, status), 0, wrong)
    own = DYNAMIC | {"HOME", "SHLVL", *OWN}
    return {
        name: value
        for name, value in values.items()
        if caller.get(name) != value and name not in own
    }


def objection(environment: Environment, text: str) -> str:
    """What the shell finds wrong in the syntax of a text; "" for nothing, and where it is not read.

    The text is named by a file of /proc, which a container can lack.
    """
    if not posix.access("/proc/self/fd", posix.X_OK):
        return ""
    said = run(environment, text, {}, check=True)[1].replace(f"{READ}: ", "")
    return said.encode("latin-1").decode(sys.getfilesystemencoding(), "surrogateescape").strip()


def export(item: Injected) -> str:
    """The command that exports an injected variable, evaluated where it is to be."""
    name, value, _, word = item
    literal = [piece for piece in word or (None,) if isinstance(piece, str)]
    if word is not None and len(literal) == len(word):
        return f"export {name}={single_quoted(''.join(literal))}"
    assignment = '{}="{}"'.format(name, value.replace('"', '\\"'))
    if word is not None:
        return f"export {assignment}"
    # Only a shell can tell whether the quotation ends: one that does not would take in all that
    # follows, and end the launch.
    whole = single_quoted(f"if false; then {assignment}; fi")
    evaluated = f"eval {single_quoted(f'export {assignment}')}"
    if "${" in value or "$((" in value:  # ${NAME?words} and 1/0 end the shell that expands them
        inner = single_quoted(assignment)
        evaluated = f'{name}=$(eval {inner}; {PRINTF} %s. "${name}")'
        evaluated += f' && export {name}="${{{name}%.}}" || export {name}='
    return (
        f"if (eval {whole}); then {evaluated}; else\n"
        f"export {name}={single_quoted(value)}\n"
        f"{ECHO} 'the value of {name} is not evaluated' >&{STDERR}\nfi"
    )


def dump(names: tuple[str, ...] | list[str]) -> str:
    """The commands that end a script: the exported variables, and which of `names` are set."""
    known = " ".join(f"${{{name}+{name}}}" for name in names)
    return f'{ECHO} "#dump" >&{DUMP}\n{EXPORT} -p >&{DUMP}\n{ECHO} "#set {known}" >&{DUMP}'


def read_dump(said: str) -> tuple[dict[str, str] | None, list[str]]:
    """(exported variables, names that are set); (None, []) where the dump is not complete."""
    start, end = said.find("#dump\n"), said.rfind("#set ")
    if start < 0 or end < start or not said.endswith("\n"):
        return None, []
    return parse_exports(said[start + 6 : end]), said[end + 5 :].split()


def run(
    environment: Environment, script: str, visible: dict[str, str], check: bool = False
) -> tuple[int, str]:
    """Run a script in the image's shell: (its status, what it wrote to DUMP as latin-1).

    The status is minus the signal where one ended it. Latin-1 gives each byte a character, so that
    nothing is lost before the quotes are undone.

    check   execute nothing: what the shell writes to STDERR of the syntax
    """
    shell = next(filter(is_executable, environment.shells), environment.shells[-1])
    answer = memory_file("environment")
    files = [answer]
    actions = [(posix.POSIX_SPAWN_DUP2, answer, STDERR if check else DUMP)]
    arguments = [shell.rpartition("/")[2], "-c", script, "sh", *environment.command]
    written = script.encode(sys.getfilesystemencoding(), "surrogateescape")
    if check or len(written) >= MAX_ARG_STRLEN:  # of a file every shell counts lines from 1
        text = memory_file("script")
        posix.pwrite(text, written, 0)
        actions.append((posix.POSIX_SPAWN_DUP2, text, SCRIPT))
        arguments[1:4] = ["-n", READ] if check else [READ]
        files.append(text)
    try:
        pid = posix.posix_spawn(shell, arguments, visible, file_actions=actions)
    except OSError as error:
        raise CallError("execve", (shell, tuple(arguments[:1])), error.errno or 0) from None
    status = posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
    said = posix.pread(answer, posix.fstat(answer).st_size, 0).decode("latin-1")
    for descriptor in files:
        posix.close(descriptor)
    return status, said


def memory_file(name: str) -> int:
    """An anonymous file, closed on execve; memfd_create(2).

    Its number is above those that the shell is given: the one would be put in the other's place.
    """
    made = _memory_file(name)
    try:
        return fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, DUMP + 1)
    except OSError as error:  # EINVAL: RLIMIT_NOFILE allows no such number
        call = ("fcntl", (made, "F_DUPFD_CLOEXEC", DUMP + 1), error.errno or 0)
        raise CallError(*call) from None
    finally:
        posix.close(made)


def _memory_file(name: str) -> int:
    for flags in (MFD_CLOEXEC | MFD_NOEXEC_SEAL, MFD_CLOEXEC):
        try:
            return posix.memfd_create(name, flags)
        except OSError as error:
            # Kernels before 6.3 do not know the seal, later ones may insist on it.
            if error.errno != EINVAL or flags == MFD_CLOEXEC:
                raise CallError("memfd_create", (name, flags), error.errno or 0) from None
    raise AssertionError


def is_executable(path: str) -> bool:
    """Whether this process may execute the file; access(2)."""
    return may(path, posix.X_OK)


def single_quoted(text: str) -> str:
    """The shell word that stands for `text` and nothing else."""
    return "'" + text.replace("'", "'\"'\"'") + "'"
