"""Reads what --bind, --mount and --home say about paths outside and inside."""

from __future__ import annotations

from minictr.refusal import Refusal
from minictr.request import Bind

NOT_YET = ("image-src=", "id=")
_BIND = "Write a bind as SOURCE[:TARGET[:ro]]."
_MOUNT = "Write a mount as type=bind,source=SOURCE,destination=TARGET[,ro]."


def wrong(cause: str, fix: str = _BIND, text: str = "") -> Refusal:
    """The refusal of `text`, which does not say where from and where to."""
    return Refusal("MC0445", cause, text, fix)


def read_binds(text: str, cwd: str) -> list[Bind]:
    r"""SOURCE[:TARGET[:OPTION[,OPTION]]][,...] -> binds; `\:` and `\,` belong to a path.

    A comma ends a specification unless it follows an option and an option follows it
    (apptainer, pkg/runtime/engine/apptainer/config/bind.go).
    """
    binds: list[Bind] = []
    options: list[str] | None = None
    parts: list[str] = []
    for specification in cut(text, ","):
        part = specification.strip()
        if options is not None and is_option(part):
            options.append(part)
            continue
        if parts:
            binds.append(bind_of(parts, options or [], cwd))
        parts = [unescaped(field) for field in cut(part, ":")] if part else []
        options = [parts.pop()] if len(parts) == 3 else None
    if parts:
        binds.append(bind_of(parts, options or [], cwd))
    return binds


def is_option(text: str) -> bool:
    """Whether `text` is what can follow a target."""
    return text in ("ro", "rw") or text.startswith(NOT_YET)


def bind_of(parts: list[str], options: list[str], cwd: str) -> Bind:
    """Check the parts of one specification."""
    if len(parts) > 2:
        raise wrong(f"wrong bind syntax: {':'.join(parts)}", "Escape `:` as `\\:`.")
    source = parts[0]
    if not source:
        raise wrong(f"a bind has no source: {':'.join(parts)}")
    read_only = False
    for option in options:
        if option not in ("ro", "rw"):
            raise bad_option(option)
        read_only = read_only or option == "ro"
    source = absolute(source, cwd)
    target = parts[1] if len(parts) > 1 and parts[1] else source
    return checked(Bind(source, target, read_only))


def bad_option(option: str) -> Refusal:
    """What is to be said of an option that is neither ro nor rw."""
    if option.startswith(NOT_YET):
        return wrong(f"the bind option {option} is refused: no image can be bound from", "")
    fix = "Use ro or rw; a `:` in a path is written `\\:`." if "/" in option else "Use ro or rw."
    return wrong(f"{option or repr(option)} is not a valid bind option", fix)


def checked(bind: Bind) -> Bind:
    """Give the bind back, its target tidied, if that can be one."""
    if not bind.target.startswith("/"):
        raise wrong(f"the bind target {bind.target} is not an absolute path", _BIND, bind.target)
    target = absolute(bind.target, "")
    return bind if target == bind.target else bind.replace(target=target)


def read_mounts(text: str, cwd: str) -> list[Bind]:
    """type=bind,source=SOURCE,destination=TARGET[,ro], one per line, quoted as CSV is."""
    from minictr.cli.records import records

    try:
        lines = records(text)
    except ValueError as error:
        raise wrong(f"the mount {text} cannot be read: {error}", _MOUNT) from None
    return [mount_of(fields, text, cwd) for fields in lines]


def mount_of(fields: list[str], text: str, cwd: str) -> Bind:
    """One line of --mount (apptainer, pkg/runtime/engine/apptainer/config/mount.go)."""
    source = target = ""
    read_only = False
    for field in fields:
        key, _, value = field.partition("=")
        if key in ("source", "src"):
            source = value
        elif key in ("destination", "dst", "target"):
            target = value
        elif key in ("ro", "readonly"):
            read_only = True
        elif key in ("image-src", "id"):
            raise bad_option(field)
        elif key != "type":
            raise wrong(f'invalid key "{key}" in mount specification', _MOUNT, text)
        elif value != "bind":
            raise wrong(f'unsupported mount type "{value}": only bind is', _MOUNT, text)
    if not source or not target:
        raise wrong("mounts must specify a source and a destination", _MOUNT, text)
    return checked(Bind(absolute(source, cwd), target, read_only))


def without_root(binds: list[Bind], drop_in: bool) -> tuple[list[Bind], list[str]]:
    """The binds that do not cover all of the container, and a warning for each other one.

    apptainer passes over `-B /` in silence, and sites set BIND so. Raises Refusal where not
    `drop_in`.
    """
    over = [f"{bind.source} cannot be bound over the container's /" for bind in binds
            if bind.target == "/"]  # fmt: skip
    if over and not drop_in:
        raise wrong(over[0], "Choose another target.")
    kept = [bind for bind in binds if bind.target != "/"] if over else binds
    return kept, [f"{text}: it is left out" for text in over]


def left_out(binds: list[Bind]) -> list[str]:
    """A warning for each bind whose target has another one: the first counts, as in apptainer."""
    first: dict[str, Bind] = {}
    return [
        f"the bind of {bind.source} on {bind.target} is left out: {known.source} is bound there"
        for bind in binds
        if (known := first.setdefault(bind.target, bind)) != bind
    ]


def read_home(text: str) -> tuple[str, str]:
    """SOURCE[:TARGET] of --home."""
    source, _, target = text.partition(":")
    target = target or source
    if ":" in target:
        raise Refusal("request", f"--home takes SOURCE[:TARGET]: {text}")
    for path in (source, target):
        if not path.startswith("/"):
            raise Refusal("request", f"--home takes absolute paths: {text}")
    return source, target


def absolute(path: str, cwd: str) -> str:
    """`path` seen from `cwd`, without `.`; `..` stays, since the name before it may be a link."""
    if not path.startswith("/"):
        if not cwd:
            raise Refusal("request", f"{path} is relative, and the working directory is gone")
        path = f"{cwd}/{path}"
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def cut(text: str, separator: str) -> list[str]:
    r"""Split at the separators that no `\` stands before; escapes stay."""
    if "\\" not in text:
        return text.split(separator)
    parts = [""]
    escaped = False
    for character in text:
        if character == separator and not escaped:
            parts.append("")
            continue
        parts[-1] += character
        escaped = character == "\\" and not escaped
    return parts


def unescaped(text: str) -> str:
    r"""`text` with `\:` and `\,` as `:` and `,`; another backslash is one."""
    return text.replace("\\:", ":").replace("\\,", ",")
