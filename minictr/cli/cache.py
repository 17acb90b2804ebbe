"""`minictr cache`: list, remove and verify the unpacked images."""

from __future__ import annotations

import itertools
import json
import os
import time

from minictr.cli.messages import visible, write
from minictr.cli.stale import remove_stale
from minictr.image.cache import prepare, writing
from minictr.image.failures import notes
from minictr.image.inventory import Cached, discard, inventory, tidy, verify
from minictr.image.refusals import printable
from minictr.modules import cache_directory
from minictr.refusal import Refusal

USAGE = """\
Usage: minictr cache list [--json]
       minictr cache clean [--all | NAME...]
       minictr cache verify [NAME...]

  list    what the cache holds, and what could not be unpacked behind a launch
  clean   remove trees whose image file is gone or was changed, or that are gone themselves,
          compiled filters and modules that no launch would use again, and what killed processes
          left;
          --all: every tree that no container uses, and all that was compiled; NAME: this one
          (the beginning is enough)
  verify  compare each tree with what was recorded when it was unpacked (sizes, times and modes of
          all entries; contents are not read); status 1 when one differs
"""

SHORT = 12  # digits of a name that are shown
SHOWN = 10  # differences that are shown of one tree
UNITS = ("B", "kB", "MB", "GB", "TB")


def main(arguments: list[str], environ: dict[str, str]) -> int:
    """Carry out `minictr cache ARGUMENTS`; gives the exit status. Raises Refusal."""
    if not arguments or {"-h", "--help"} & set(arguments):
        write(USAGE, 1)
        return 0
    command, *rest = arguments
    flags = {each for each in rest if each.startswith("-")}
    names = [each for each in rest if not each.startswith("-")]
    known = {"list": {"--json"}, "clean": {"--all"}, "verify": set()}
    if command not in known:
        raise Refusal("usage", f'unknown command "{command}"', "", "minictr cache --help")
    wrong = sorted(flags - known[command]) + (names if command == "list" else [])
    if wrong or (flags and names):
        word = wrong[0] if wrong else names[0]
        raise Refusal("usage", f"unexpected argument: {word}", "", "minictr cache --help")
    cache = cache_directory(environ)
    if not os.path.isdir(cache):
        return show([], bool(flags)) if command == "list" else unknown(names)
    prepare(cache)
    with writing(cache):  # a part of it may be closed
        found = inventory(cache)
    if command == "list":
        return show(found, "--json" in flags) or show_notes(cache, "--json" in flags)
    trees = chosen(found, names)
    if command == "verify":
        return check(trees)
    return clean(cache, trees, everything=bool(flags or names), named=bool(names))


def chosen(trees: list[Cached], names: list[str]) -> list[Cached]:
    """The trees whose names begin with one of `names`; all of them when there is none."""
    found = []
    for name in names:
        matching = [tree for tree in trees if tree.name.startswith(name)]
        if len(matching) != 1:
            unknown([name], len(matching))
        found += matching
    return found if names else trees


def unknown(names: list[str], count: int = 0) -> int:
    """Refuse a name that stands for no tree or for several; 0 when there is none to refuse."""
    if not names:
        return 0
    what = f"{count} trees have" if count else "no tree has"
    raise Refusal("usage", f"{what} a name that begins with {names[0]}", "", "minictr cache list")


def show(trees: list[Cached], as_json: bool) -> int:
    """Print the list, as a table or as JSON."""
    if as_json:
        write(json.dumps([as_object(tree) for tree in trees], indent=2) + "\n", 1)
        return 0
    lines = [f"{'NAME':{SHORT}}  {'SIZE':>8}  {'INODES':>7}  {'LAST USED':16}  {'IN USE':6}  IMAGE"]
    for tree in trees:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(tree.used))
        busy = "yes" if tree.busy else "no"
        images = visible(", ".join(tree.images))
        held = f"{human(tree.size):>8}  {counted(tree):>7}"
        lines.append(f"{short(tree):{SHORT}}  {held}  {used}  {busy:6}  {images}".rstrip())
    write("".join(f"{line}\n" for line in lines), 1)
    return 0


def show_notes(cache: str, as_json: bool) -> int:
    """Print what could not be unpacked behind a launch; the JSON list is one of trees alone."""
    for note in [] if as_json else notes(cache):
        code = f" [{note.code}]" if note.code != "MC0000" else ""
        write(f"not unpacked: {printable(note.image)}: {note.cause}{code}\n", 1)
    return 0


def as_object(tree: Cached) -> dict[str, object]:
    """A tree as it stands in the JSON list; times in ISO 8601, UTC."""
    return {
        "name": tree.name,
        "bytes": tree.size,
        "inodes": tree.inodes,
        "last_used": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(tree.used)),
        "in_use": tree.busy,
        "images": list(tree.images),
    }


def clean(cache: str, trees: list[Cached], everything: bool, named: bool) -> int:
    """Remove trees that nobody uses and everything stale; 1 when a named one is in use."""
    status, removed = 0, []
    for tree in trees:
        if tree.live and not everything and os.path.lexists(f"{tree.directory}/root"):
            continue
        label = f"{short(tree)} ({', '.join(tree.images) or 'of no image'})"
        if discard(cache, tree):
            removed.append(f"removed {label}: {human(tree.size)}, {counted(tree)} inodes\n")
        else:
            write(f"in use, not removed: {label}\n")
            status = 1 if named else status
    with writing(cache):
        stale = tidy(cache) + remove_stale(cache, everything and not named)
    if stale:
        removed.append(f"removed {stale} stale index entries, compiled files and temporaries\n")
    write("".join(removed), 1)  # last: nothing is left unremoved where it cannot be written
    return status


def check(trees: list[Cached]) -> int:
    """Verify trees, printing the first differences of each; 1 when there is one."""
    status = 0
    for tree in trees:
        found = verify(tree)
        first = list(itertools.islice(found, SHOWN))
        more = sum(1 for _ in found)
        shown = [f"{short(tree)}: {'differs' if first else 'unchanged'}"]
        shown += [
            f"  {visible(line)}" for line in [*first, *([f"and {more} more"] if more else [])]
        ]
        write("".join(f"{line}\n" for line in shown), 1)
        status = 1 if first else status
    return status


def short(tree: Cached) -> str:
    """The beginning of a tree's name; a foreign entry may have any."""
    return printable(tree.name)[:SHORT]


def counted(tree: Cached) -> str:
    """How many inodes a tree has; "?" for one that nothing is recorded of."""
    return str(tree.inodes) if tree.inodes >= 0 else "?"


def human(size: float) -> str:
    """A number of bytes with a decimal unit; "?" for an unknown one."""
    if size < 0:
        return "?"
    unit = 0
    while size >= 1000 and unit < len(UNITS) - 1:
        size /= 1000
        unit += 1
    return f"{size:.0f} {UNITS[unit]}" if unit == 0 else f"{size:.1f} {UNITS[unit]}"
