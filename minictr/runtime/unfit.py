"""The refusals of mount points that were asked for."""

from __future__ import annotations

import errno
import posix
from posixpath import normpath

from minictr.image.obstacles import can_be_made
from minictr.image.refusals import quoted
from minictr.image.tree import may
from minictr.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.runtime.places import Place


def leads_to_the_root(target: str) -> Refusal:
    """MC0442: links, or dots, lead out of every directory."""
    cause = f"{target} leads to the root of the container, which cannot be a mount point"
    if normpath(target).strip("/"):
        fix = "Choose another target, or take the symbolic link out of the image."
        return Refusal("MC0442", cause, f"the image's symbolic links lead from {target} to /", fix)
    return Refusal("MC0442", cause, f"the .. in {target} lead to /", "Choose another target.")


def not_there(place: Place, path: str) -> Refusal:
    """MC0439: a writable image is the user's own; what the payload did not make is not made in it.

    path   of the mount point in the image's tree, as the host has it
    """
    fix = f"mkdir -p {quoted(path)}"
    if place.kind == "file":
        fix = f"mkdir -p {quoted(path.rpartition('/')[0])} && touch {quoted(path)}"
    if not can_be_made(path):
        fix = "Use --writable-tmpfs, or choose a target that the image has."
    cause = f"{place.target} is not in the image, and --writable makes no mount points"
    return Refusal("MC0439", cause, f"{path} does not exist", fix)


def unreachable(target: str, root: str, error: OSError) -> Refusal:
    """The image's own path to a mount point that was asked for cannot be followed."""
    codes = {errno.ELOOP: "MC0425", errno.ENAMETOOLONG: "MC0426", errno.EACCES: "MC0436"}
    why = posix.strerror(error.errno or 0)
    if error.errno == errno.ENAMETOOLONG:
        why = "a name has 255 bytes at most, and a path 4095"
    fix, where = "Choose another target.", str(error.filename or root + target)
    if error.errno == errno.EACCES:
        where = where.rpartition("/")[0]
        if may(where, posix.X_OK):  # what refuses lies in it: FUSE
            codes.clear()
        elif posix.stat(where).st_uid == posix.geteuid():
            fix = f"chmod u+x {quoted(where)}"
    cause = f"{target} cannot be reached in the image: {why}"
    return Refusal(codes.get(error.errno or 0, "MC0000"), cause, f"{where}: {why}", fix)
