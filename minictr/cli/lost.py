"""Says what an unpacked tree in the cache has lost of that which a launch looked for in it.

The tree was whole when it was published, with a manifest of it beside it. What a cleaner of old
files took since then is missing from the cache, and not from the image.
"""

from __future__ import annotations

import errno
import posix
import stat

from minictr.diagnosis.catalogue import UNKNOWN, entry_of
from minictr.diagnosis.probes.libraries import Lacking, first_lacking
from minictr.diagnosis.probes.program import Program, chain
from minictr.diagnosis.probes.walk import Walk, walk
from minictr.diagnosis.values import Diagnosis, Proof
from minictr.image.manifest import Entry, full_path
from minictr.image.records import read_manifest
from minictr.image.refusals import printable
from minictr.image.tree import Tree
from minictr.refusal import Refusal
from minictr.runtime.launch import Failure, Plan
from minictr.runtime.mounts import ROOT
from minictr.runtime.step import Step

NOEXEC = "MC0619"  # a mount denies execution, whatever lies on it
DIGITS = 12  # of a tree's name, as `minictr cache list` shows it
# What a call says of a file that is missing, closed, cut short or another one; 0: a search has
# found nothing. E2BIG, ETXTBSY or EAGAIN are about something else, whatever became of the file.
TELLING = (
    0, errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENOEXEC, errno.ELIBBAD, errno.EIO,
    errno.EROFS, errno.ELOOP,
)  # fmt: skip
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symbolic link"}


def unless_lost(
    found: Diagnosis, failure: Failure, plan: Plan, tree: Tree, repeat: str
) -> Diagnosis:
    """The diagnosis; where what the launch looked for is lost from the tree, that one.

    repeat   the command line of the launch
    """
    looks = failure.phase == "execute" or failure.step.verb() == "ChangeDirectory"
    paths = sought(failure, tree.root) if looks else _points(failure)
    if (not looks and not paths and found.code != UNKNOWN) or failure.errno not in TELLING:
        return found
    if found.code == NOEXEC:
        return found
    before = plan.build
    if failure.step in before:  # what comes later hides nothing yet
        before = before[: before.index(failure.step)]
    entry = entry_of("MC0142")
    proof = removed(tree, repeat) or explain(paths, before, tree.root)
    if not entry or not proof:
        return found
    known = found.replace(code=entry.code, title=entry.title, proof=proof, then=())
    return known.replace(ruled_out=(), still_open=(), could_not_look=())


def removed(tree: Tree, repeat: str) -> Proof | None:
    """The proof that somebody has removed the tree while the launch used it; else None.

    Its lock is renamed away with it by `cache clean`, which waits for whoever holds it.
    """
    directory = tree.root.rpartition("/")[0]
    if tree.lock < 0 or posix.fstat(tree.lock).st_nlink:
        return None
    return Proof(
        "the image's unpacked tree was removed from the cache while the launch used it",
        (f"fstat() of {directory}/lock, which the launch holds: it has no name any more",),
        fix_user=repeat,
    )


def closed_since(error: PermissionError, caches: tuple[str, ...]) -> Refusal:
    """The refusal for a look into a cached tree, where it was closed since; raises the error else.

    caches   the names of the cache directory
    """
    path = str(error.filename)
    for cache in caches:
        name, _, inside = path.removeprefix(f"{cache}/trees/").partition("/root/")
        proof = explain([f"/{inside}"], (), f"{cache}/trees/{name}/root")
        if proof and path.startswith(f"{cache}/trees/"):
            return _refusal(proof)
    raise error


def look_for(path: str, root: str) -> None:
    """Look for what the tree at `root` has not at a path of the container.

    Raises Refusal where it was unpacked: the image has it.
    """
    if proof := explain([path], (), root):
        raise _refusal(proof)


def explain(paths: list[str], build: tuple[Step, ...], root: str) -> Proof | None:
    """The proof that the tree has lost one of the container's `paths`, or its root; else None.

    build  the steps whose binds and mounts hide what the tree has there
    """
    directory = root.rpartition("/")[0]
    entries = read_manifest(directory)
    if entries is None:  # nobody knows what it held
        return None
    top = entries.get(".")
    lost = {".": said} if top and (said := difference(root, ".", top)) else {}
    targets = [str(step.__dict__.get("target", "")) for step in build]
    for path in [] if lost else paths:
        place = walk(root, path)
        at = _end(place)
        if at in entries and not _hidden(targets, path, f"/{at}") and _needed(place, at, entries):
            lost[at] = difference(root, at, entries[at])
    seen = tuple(fact for fact in lost.values() if fact)
    if not seen:
        return None
    first = next(path for path, fact in lost.items() if fact)
    what = "the root" if first == "." else printable(first)
    return Proof(
        f"{what} of the image's unpacked tree in the cache is not as it was unpacked",
        (*seen, f"what it held then is in {directory}/manifest"),
        fix_user=f"minictr cache clean {directory.rpartition('/')[2]:.{DIGITS}}",
    )


def difference(root: str, path: str, recorded: Entry) -> str:
    """What was taken from one entry of the tree, as a fact; "" for nothing."""
    full = full_path(root, path)
    shown = printable(full)
    mode, size = recorded[:2]
    kind = KINDS.get(stat.S_IFMT(mode), "special file")
    try:
        status = posix.lstat(full)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            return ""
        return f"lstat({shown}): {errno.errorcode[error.errno]}; it was a {kind}"
    if stat.S_IFMT(status.st_mode) != stat.S_IFMT(mode):
        return f"lstat({shown}): a {KINDS.get(stat.S_IFMT(status.st_mode), 'special file')}; " + (
            f"it was a {kind}"
        )
    used = stat.S_IXUSR if stat.S_ISDIR(mode) else stat.S_IRUSR | stat.S_IXUSR  # by its owner
    if mode & ~status.st_mode & used:
        return f"lstat({shown}): mode {status.st_mode & 0o7777:04o}; it was {mode & 0o7777:04o}"
    if stat.S_ISREG(mode) and status.st_size != size:
        return f"lstat({shown}): {status.st_size} bytes; it had {size} bytes"
    return ""


def sought(failure: Failure, root: str) -> list[str]:
    """The container's paths at which something was looked for, in vain or not."""
    words = [str(argument) for argument in failure.arguments]
    if failure.call == "search":
        return _in_path(words[0], words[1])
    if not words or not words[0].startswith("/"):
        return []
    programs = chain(root, words[0])
    paths = [words[0], *(program.wants for program in programs if program.wants.startswith("/"))]
    if failure.errno == errno.EACCES:
        return _until_closed(root, paths)
    if failure.step.verb() == "RunPayload" and programs:
        paths += _by_loader(programs[-1], root, words, posix.WIFSIGNALED(failure.status))
        paths += [path for program in programs for path in _by_env(program, words[1])]
    return paths


def _until_closed(root: str, paths: list[str]) -> list[str]:
    """Those up to the one that may not be executed: the kernel opens none behind it."""
    for count, path in enumerate(paths, 1):
        if not walk(root, path).is_program():
            return paths[:count]
    return paths


def _refusal(proof: Proof) -> Refusal:
    return Refusal("MC0142", proof.cause, "\n".join(proof.seen), proof.fix_user)


def _points(failure: Failure) -> list[str]:
    """The container's paths of a call that was to make, or to cover, something in the root."""
    words = [str(argument) for argument in failure.arguments]
    return [word.removeprefix(ROOT) for word in words if word.startswith(f"{ROOT}/")]


def _by_loader(program: Program, root: str, words: list[str], whole: bool) -> list[str]:
    """The places of the library that the loader did not find, or not `whole`; [] for none."""
    if program.kind != "elf" or not program.wants:
        return []
    found = first_lacking(root, program.real, program.wants, words[2], "/", whole)
    if not isinstance(found, Lacking):
        return []
    return [*(path for path, _ in found.wrong), *(f"{at}/{found.name}" for at in found.places)]


def _by_env(script: Program, path: str) -> list[str]:
    """Where env(1) looked for the interpreter of a script."""
    if script.kind != "script" or script.wants.rpartition("/")[2] != "env":
        return []
    words = script.argument.removeprefix("-S").split()
    return _in_path(words[0], path) if words and "/" not in words[0] else []


def _in_path(name: str, path: str) -> list[str]:
    return [f"{place}/{name}" for place in path.split(":") if place.startswith("/")]


def _end(place: Walk) -> str:
    """Where a walk ended, as the manifest names it: what is missing, closed or there."""
    name = place.name if place.errno == errno.ENOENT else ""
    return f"{place.reached}/{name}".strip("/") or "."


def _needed(place: Walk, at: str, entries: dict[str, Entry]) -> bool:
    """Whether the way would go on: what lay in a directory that was removed had that name."""
    if place.errno != errno.ENOENT or not stat.S_ISDIR(entries[at][0]):
        return True
    name = place.path.rpartition("/")[2]
    return any(path.startswith(f"{at}/") and path.endswith(f"/{name}") for path in entries)


def _hidden(targets: list[str], *paths: str) -> bool:
    """Whether something is mounted over one of the paths."""
    covers = [f"{target.rstrip('/')}/" for target in targets if target]
    return any(f"{path}/".startswith(cover) for path in paths for cover in covers)
