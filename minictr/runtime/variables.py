"""Sorts the variables of a launch: what the caller has, what the launcher sets, what is asked for.

The prefixes, their precedence and the exceptions are those of apptainer 1.4.5, ours on top.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from minictr.request import Request
    from minictr.runtime.assignments import Program
    from minictr.runtime.words import Word

    Pairs = tuple[tuple[str, str], ...]
    Asked = tuple[str, str, str]  # name, value, origin
    Injected = tuple[str, str, str, Word | None]  # with the word; None where it needs a shell

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIBRARIES = "/.singularity.d/libs"  # where --nv and --rocm bind the host's driver libraries
PROMPT = "Apptainer> "
# Read-only to the image's scripts; only the user can give them another value.
FIXED = ("APPTAINER_NAME", "APPTAINER_CONTAINER")
# Programs that the launcher runs may be missing from the caller's PATH: apptainer appends these,
# and says in USER_PATH what it had.
SEARCHED = ":/bin:/usr/bin:/sbin:/usr/sbin:/usr/local/bin:/usr/local/sbin"

SETTINGS = ("MINICTR_", "APPTAINER_", "SINGULARITY_")  # options of launchers, never forwarded
PREFIXES = ("SINGULARITYENV_", "APPTAINERENV_", "MINICTRENV_")  # in growing precedence
NOT_FORWARDED = frozenset(("HOME", "PATH", "LD_LIBRARY_PATH", "IFS", "OPTIND"))
KEPT_CLEAN = frozenset((
    "TERM", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY",
    "all_proxy", "ALL_PROXY", "ftp_proxy", "FTP_PROXY",
))  # fmt: skip
NOT_PERMITTED = frozenset((
    "HOME", "APPTAINER_SHELL", "APPTAINER_APPNAME", "SINGULARITY_SHELL", "SINGULARITY_APPNAME",
))  # fmt: skip
SHELL_IDS = ("UID", "EUID", "GID")  # read-only in shells
PATHS = {
    "PREPEND_PATH": "SING_USER_DEFINED_PREPEND_PATH",
    "APPEND_PATH": "SING_USER_DEFINED_APPEND_PATH",
    "PATH": "SING_USER_DEFINED_PATH",
}
FROM_NO_FILE = frozenset(("HOME", "IFS", "OPTIND", "PWD", "PPID", *SHELL_IDS))


def forwarded(caller: Pairs, clean: bool) -> Pairs:
    """The caller's variables that the payload gets; with --cleanenv only terminal and proxies."""
    if clean:
        kept = [pair for pair in caller if pair[0] in KEPT_CLEAN]
        return (*kept, ("LANG", "C"))
    own = SETTINGS + PREFIXES
    kept = [pair for pair in caller if not pair[0].startswith(own) and pair[0] not in NOT_FORWARDED]
    path = dict(caller).get("PATH", "")
    return (*kept, ("USER_PATH", path + SEARCHED))


def given(request: Request, home: str, image: str) -> Pairs:
    """What the launcher sets. home: inside; image: absolute path."""
    name = image.rpartition("/")[2]
    targets = ",".join(bind.target for bind in request.binds)
    pairs = [
        ("HOME", home),
        ("PATH", DEFAULT_PATH),
        ("APPTAINER_NAME", name), ("SINGULARITY_NAME", name),
        ("APPTAINER_CONTAINER", image), ("SINGULARITY_CONTAINER", image),
        ("APPTAINER_BIND", targets), ("SINGULARITY_BIND", targets),
        ("APPTAINER_COMMAND", request.action),
        ("APPTAINER_APPNAME", ""),
    ]  # fmt: skip
    if not request.evaluate:
        pairs += [("APPTAINER_NO_EVAL", "1"), ("SINGULARITY_NO_EVAL", "1")]
    if request.action == "shell" and request.shell:
        pairs += [("APPTAINER_SHELL", request.shell), ("SINGULARITY_SHELL", request.shell)]
    return tuple(pairs)


def absolute(path: str, directory: str) -> str:
    """The path made absolute and shortened by its letters: symbolic links keep their names."""
    reached: list[str] = []
    for name in (path if path.startswith("/") else f"{directory}/{path}").split("/"):
        if name == "..":
            del reached[-1:]
        elif name not in ("", "."):
            reached.append(name)
    return "/" + "/".join(reached)


def asked_for(
    request: Request, from_files: Iterable[Asked], warnings: list[str]
) -> dict[str, tuple[str, str]]:
    """name: (value, origin) of every injected variable, the strongest origin winning.

    In growing precedence: SINGULARITYENV_, APPTAINERENV_, MINICTRENV_, --env-file, --env.
    """
    found: dict[str, tuple[str, str]] = {}
    candidates = [pair for pair in request.host_environment if pair[0].startswith(PREFIXES)]
    for prefix in PREFIXES if candidates else ():
        for origin, value in candidates:
            name = origin[len(prefix) :]
            if not name or not origin.startswith(prefix):
                continue
            if name in found and found[name][0] != value:
                weaker = found[name][1]
                warnings.append(f"{weaker} and {origin} have different values, using the latter")
            _put(found, name, value, origin)
    for name, value, origin in from_files:
        _put(found, name, value, origin)
    for name, value in request.environment:
        if not name:
            warnings.append(f"Ignore environment variable ={value}: variable name missing")
            continue
        if name in found and found[name][1] in dict(request.env_files):
            warnings.append(f"Ignored environment file variable {name}: override from --env")
        _put(found, name, value, "--env")
    return found


def _put(found: dict[str, tuple[str, str]], name: str, value: str, origin: str) -> None:
    """Last in the order too: a value may refer to those of weaker origin."""
    found.pop(name, None)
    found[name] = (value, origin)


def injected(
    found: dict[str, tuple[str, str]], evaluated: bool, warnings: list[str]
) -> tuple[list[Injected], list[tuple[str, str]]]:
    """The injected variables as words, and those whose name no shell can hold.

    evaluated: the value is what a shell makes of it between double quotes, else it is literal.
    """
    words: list[Injected] = []
    raw: list[tuple[str, str]] = []
    for name, (value, origin) in found.items():
        if name in NOT_PERMITTED:
            label = f"--env {name}" if origin == "--env" else origin
            warnings.append(f"Overriding {name} environment variable with {label} is not permitted")
        elif not (name.isidentifier() and name.isascii()):
            raw.append((name, value))
        elif name not in SHELL_IDS:
            if name == "LD_LIBRARY_PATH" and value:
                value = f"{value}:{LIBRARIES}"
            word = word_of(name, value, warnings) if evaluated else (value,)
            words.append((PATHS.get(name, name), value, origin, word))
    return words, raw


def word_of(name: str, value: str, warnings: list[str]) -> Word | None:
    """The value as a word, None where it needs a shell."""
    if "$" not in value and "`" not in value and "\\" not in value:
        return (value,)
    from minictr.runtime import words

    try:
        return words.quoted(value)
    except words.Unbalanced:
        warnings.append(
            f"the value of {name} ends inside a quotation or an expansion, so it is not evaluated"
        )
        return (value,)
    except words.NeedsShell:
        return None


def read_files(
    request: Request, image: str, shell: bool, warnings: list[str]
) -> tuple[list[Asked], Pairs]:
    """(name, value, path) that the --env-file fragments assign, and (path, text) of those which
    need a shell.

    A fragment sees the caller's variables and APPTAINER_IMAGE; all it assigns counts.
    """
    asked: list[Asked] = []
    pending: list[tuple[str, str]] = []
    for path, text in request.env_files:
        from minictr.runtime import assignments

        text = unix_lines(text)
        program, line = assignments.parse(text)
        if line and shell:
            pending.append((path, text))
            continue
        if line:
            warnings.append(_skipped(path, line))
        values = dict(request.host_environment)
        values["APPTAINER_IMAGE"] = image
        values.update(zip(SHELL_IDS, ids(), strict=True))
        assignments.run(program, values, set())
        names = dict.fromkeys(name for _, name, _ in program if name not in FROM_NO_FILE)
        asked += [(name, values[name], path) for name in names if name in values]
    return asked, tuple(pending)


def unix_lines(text: str) -> str:
    """The text without the carriage returns that editors of other systems put at a line's end.

    apptainer's interpreter passes over them (mvdan.cc/sh, syntax/lexer.go, rune).
    """
    return text.replace("\r\n", "\n") if "\r" in text else text


def ids() -> tuple[str, str, str]:
    """The values of SHELL_IDS."""
    return str(posix.getuid()), str(posix.geteuid()), str(posix.getgid())


def _skipped(path: str, line: int) -> str:
    return f"{path}, line {line}, needs a shell and the image has no /bin/sh: read up to there"


def programs(
    scripts: Pairs, shell: bool, warnings: list[str]
) -> tuple[list[tuple[str, Program]], str]:
    """Each script's (path, program), and the text of those that need a shell.

    99-runtimevars.sh is left out: the launcher's own takes its place, whatever it says.
    """
    read = []
    hard = []
    for path, text in scripts:
        if path.endswith("/99-runtimevars.sh"):
            continue
        from minictr.runtime import assignments

        program, line = assignments.parse(unix_lines(text))
        read.append((path, program if not (line and shell) else ()))
        if line:
            hard.append(text)
            if not shell:
                warnings.append(_skipped(path, line))
    return read, "\n".join(hard)


def complete_path(path: str) -> str:
    """PATH with the default directories it lacks behind its own."""
    has = path.split(":") if path else []
    return ":".join(has + [name for name in DEFAULT_PATH.split(":") if name not in has])


def apply_path(values: dict[str, str]) -> None:
    """What the user asked of PATH; the names are those apptainer's own script uses."""
    prepended, appended, replaced = (
        values.pop(f"SING_USER_DEFINED_{which}", "")
        for which in ("PREPEND_PATH", "APPEND_PATH", "PATH")
    )
    path = values.get("PATH", DEFAULT_PATH)
    path = f"{prepended}:{path}" if prepended else path
    path = f"{path}:{appended}" if appended else path
    values["PATH"] = replaced or path


def merge(
    initial: dict[str, str], values: dict[str, str], exported: set[str], asked: set[str]
) -> dict[str, str]:
    """The caller's variables where neither image nor user has one of that name.

    A name that the image sets and does not export, or sets to nothing, hides the caller's.
    """
    kept = {name for name in ("PWD", *FIXED) if name in initial} - asked
    result = {}
    for name, value in initial.items():
        if name in kept or name not in values:
            result[name] = value
        elif values[name] and name in exported:
            result[name] = values[name]
    for name in exported:
        if name not in initial and name in values:
            result[name] = values[name]
    return result


def finish(result: dict[str, str]) -> None:
    """The prompt, also for a bash that reads its own start files, and where %post wrote to."""
    prompt = result.setdefault("PS1", PROMPT) or PROMPT
    result["PS1"] = prompt
    command = result.get("PROMPT_COMMAND")
    if command:
        undo = 'PROMPT_COMMAND="${PROMPT_COMMAND%%; PROMPT_COMMAND=*}"'
        result["PROMPT_COMMAND"] = f'{command}; {undo}; PS1="{prompt}"'
    else:
        result["PROMPT_COMMAND"] = f'PS1="{prompt}"; unset PROMPT_COMMAND'
    written = result.get("APPTAINER_ENVIRONMENT") or "/.singularity.d/env/91-environment.sh"
    result["APPTAINER_ENVIRONMENT"] = result["SINGULARITY_ENVIRONMENT"] = written
