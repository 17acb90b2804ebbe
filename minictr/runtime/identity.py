"""Who you are inside: the lines of /etc/passwd and /etc/group that say so."""

from __future__ import annotations

from minictr.host import group_name, read_fact
from minictr.image.tree import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.host import Host
    from minictr.image.tree import Tree
    from minictr.request import Request


def files(request: Request, tree: Tree, host: Host, home: str) -> list[tuple[str, str]]:
    """passwd and group with the caller in them, and the host name where one is given."""
    if request.writable and request.fakeroot:
        return []  # root manages the users of his own directory
    image = {name: _text(tree, f"/etc/{name}") for name in ("passwd", "group")}
    gids = dict.fromkeys((host.gid, *host.groups))
    groups = tuple((group_name(gid), gid) for gid in gids) if not request.fakeroot else ()
    made = [
        ("passwd", passwd(image["passwd"], host, home, request.fakeroot)),
        ("group", group(image["group"], groups or (("root", 0),))),
    ]
    if request.hostname:
        made.append(("hostname", request.hostname + "\n"))
    return made


def passwd(image: str, host: Host, home: str, fakeroot: bool) -> str:
    """The image's passwd(5) with the caller's own entry: `home` is where he lives inside."""
    if fakeroot:
        entry = ("root", "x", "0", "0", "root", home, "/bin/sh")
    else:
        numbers = (str(host.uid), str(host.gid))
        entry = (host.user, "x", *numbers, host.gecos, home, host.shell or "/bin/sh")
    return _replaced(image, entry)


def group(image: str, groups: tuple[tuple[str, int], ...]) -> str:
    """The image's group(5) with the caller's groups, (name, gid) each, where it lacks them."""
    text = image
    known = {line.split(":")[2] for line in image.split("\n") if line.count(":") >= 3}
    for name, gid in groups:
        if name and str(gid) not in known:
            text = _replaced(text, (name, "x", str(gid), ""))
    return text


def _replaced(text: str, entry: tuple[str, ...]) -> str:
    """`text` without the lines that have the entry's name or number, and with the entry."""
    lines = [line for line in text.split("\n") if line]
    kept = [line for line in lines if not _same(line.split(":"), entry)]
    return "\n".join([*kept, ":".join(entry), ""])


def _same(fields: list[str], entry: tuple[str, ...]) -> bool:
    return fields[0] == entry[0] or fields[2:3] == [entry[2]]


def _text(tree: Tree, path: str) -> str:
    """A file of the image; "" where it has none, or none that can be read."""
    try:
        return read_fact(resolve(tree.root, path)).text
    except OSError:  # ELOOP, or a directory that cannot be searched
        return ""
