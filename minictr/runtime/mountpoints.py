"""Finds the mount point of every place, in the image or in what is mounted above it."""

from __future__ import annotations

import posix

from minictr.image.tree import kind, resolve
from minictr.runtime.mounts import Bind, BindFile
from minictr.runtime.places import Place, within
from minictr.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.image.tree import Tree
    from minictr.runtime.step import Step

_S_IFMT, _S_IFDIR = 0o170000, 0o040000


class Spot(Value):
    """Where a place goes.

    inside   absolute path inside, the image's symbolic links followed
    kind     what is there: "directory", "file", "other", or "" for nothing
    outer    the place whose mount shows this path; None for the image itself
    why      why nobody gets there; "" otherwise
    """

    inside: str
    kind: str
    outer: Place | None = None
    why: str = ""


class MountPoints(Value):
    """The answer of `sort_out`.

    mounted   the places that are mounted
    steps     their mounts, in order
    missing   the places whose mount points the image lacks, with the path inside as target
    notes     what was left out, and why
    """

    mounted: tuple[Place, ...]
    steps: tuple[Step, ...]
    missing: tuple[Place, ...]
    notes: tuple[str, ...]


def sort_out(found: list[Place], tree: Tree, writable: bool) -> MountPoints:
    """Find where each place goes; leave out what was not asked for and has nowhere to go.

    writable   the image's directory itself is the root: nothing may be made in it
    Raises Refusal for a place that was asked for and cannot be.
    """
    steps, missing, notes = [], [], []
    mounted: list[tuple[Place, str]] = []
    modes: dict[str, int] = {}
    for place in found:
        spot = _look(place, mounted, tree, modes)
        why = spot.why or _unfit(place, spot, mounted, tree, writable)
        if why:
            notes.append(f"{place.target}: left out, {why}")
            continue
        if not spot.kind and spot.outer is None:
            missing.append(place.replace(target=spot.inside))
        mounted.append((place, spot.inside))
        steps.append(place.step.replace(target=spot.inside))
    places = tuple(place for place, _ in mounted)
    return MountPoints(places, tuple(steps), tuple(missing), tuple(notes))


def _look(
    place: Place, mounted: list[tuple[Place, str]], tree: Tree, modes: dict[str, int]
) -> Spot:
    """What is at the place: below another mount that mount's content decides, not the image's."""
    target = place.target
    for outer, inside in reversed(mounted):
        if within(target, outer.target):
            rest = target[len(outer.target.rstrip("/")) :]
            return Spot(inside + rest, _shown(outer.step, rest), outer)
    try:
        found = resolve(tree.root, target, modes)
        inside = found[len(tree.root.rstrip("/")) :] or "/"
        for outer, above in reversed(mounted):
            if within(inside, above):
                return Spot(inside, _shown(outer.step, inside[len(above) :]), outer)
        return Spot(inside, kind(modes[found]) if inside != "/" else "directory")
    except OSError as error:
        if place.asked:
            from minictr.runtime.unfit import unreachable

            raise unreachable(place.target, tree.root, error) from None
        return Spot("", "", None, posix.strerror(error.errno or 0))


def _shown(step: Step, rest: str) -> str:
    """What a mount shows at `rest`, below its mount point; "" for nothing, or a new tmpfs."""
    if not isinstance(step, Bind) or isinstance(step, BindFile):
        return ""
    try:
        mode = posix.stat(step.source.rstrip("/") + rest).st_mode
    except OSError:  # nothing there, or nothing that may be looked at
        return ""
    return "directory" if mode & _S_IFMT == _S_IFDIR else "file"


def _unfit(
    place: Place, spot: Spot, mounted: list[tuple[Place, str]], tree: Tree, writable: bool
) -> str:
    """Why nothing is mounted at the spot; "" where it is."""
    if spot.inside == "/":
        if not place.asked:
            return "the image has a symbolic link to its root there"
        from minictr.runtime.unfit import leads_to_the_root

        raise leads_to_the_root(place.target)
    # Also where the image's own links lead there, as from /var/tmp to a bind on /tmp.
    if any(outer.asked and inside == spot.inside for outer, inside in mounted):
        return "an earlier bind is there"
    if spot.outer is not None:
        shown = isinstance(spot.outer.step, Bind)
        if place.asked or not shown or spot.kind == place.kind:
            return ""
        return f"what is mounted on {spot.outer.target} has no such {place.kind}"
    return _unfit_for_image(place, spot, tree.root + spot.inside, writable)


def _unfit_for_image(place: Place, spot: Spot, path: str, writable: bool) -> str:
    if spot.kind and spot.kind != place.kind and not place.asked:
        return f"what the image has there is no {place.kind}"
    if spot.kind or not writable:
        return ""
    if not place.asked:
        return "the writable image has no such path"
    from minictr.runtime.unfit import not_there

    raise not_there(place, path)
