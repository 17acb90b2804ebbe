"""Says whose disk quota stopped a write, and who can raise it."""

from __future__ import annotations

import os

from minictr.diagnosis.probes.mountinfo import Mount, mount_of, mounts
from minictr.diagnosis.probes.quotas import KIB, Quota, quotas
from minictr.diagnosis.values import Proof
from minictr.host import canonical
from minictr.image.refusals import printable, quoted

_SUBVOLUME = 256  # st_ino of the root of each: BTRFS_FIRST_FREE_OBJECTID
_OF_PROJECTS = ("ext4", "xfs", "f2fs")


def with_limits(proof: Proof, place: str) -> Proof:
    """The proof with the limits of the caller on the file system of a directory."""
    place = canonical(place)
    mount = mount_of(place, mounts())
    if mount is None:  # a private mount namespace without a /proc of its own
        return proof
    found, refused = quotas(place, mount.source)
    if found:
        lines = [f"quotactl(2), {quota.kind} {quota.name}: {quota.words()}" for quota in found]
        raised = "\n".join(_raised(quota, mount) for quota in found)
    else:
        why = f" ({refused})" if refused else ""
        lines = [
            f"quotactl(2) knows no limit of the user, nor of a group of his, on {mount.point}{why}"
        ]
        raised = _raised_of(place, mount)
    return proof.replace(seen=(*proof.seen, *lines), fix_administrator=raised)


def _raised(quota: Quota, mount: Mount) -> str:
    """The command that doubles the limits of a user or of a group."""
    limits = (quota.soft // KIB, quota.hard // KIB, quota.few, quota.most)
    numbers = " ".join(str(2 * limit) for limit in limits)
    return f"setquota --{quota.kind} {quoted(quota.name)} {numbers} {quoted(mount.point)}"


def _raised_of(place: str, mount: Mount) -> str:
    """What is to be done where the limit is not one of a user or of a group."""
    if mount.kind == "btrfs":
        at = quoted(_subvolume(place))
        return f"Raise the limit of the subvolume: `btrfs qgroup show -rF {at}` has it."
    if mount.kind in _OF_PROJECTS:
        return f"Raise the limit of the project: `repquota -P {quoted(mount.point)}` lists them."
    return f"Raise the limit where {printable(mount.source)} is served."


def _subvolume(place: str) -> str:
    """The root of the subvolume of btrfs that a directory is in."""
    while os.stat(place).st_ino != _SUBVOLUME and place != "/":
        place = os.path.dirname(place)
    return place
