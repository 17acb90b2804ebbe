"""What stops the mount of the image's tree: overlayfs stacked too deep, a closed directory."""

from __future__ import annotations

import errno
import posix
import stat

from minictr.diagnosis.again import again
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.probes.inside import writable
from minictr.diagnosis.probes.mountinfo import Mount, mount_of, mounts
from minictr.diagnosis.probes.overlays import Stacking, stack
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.probes.ways import Way, closed
from minictr.diagnosis.rights import rights, user_name
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name
from minictr.image.refusals import quoted

_PATIENCE = 200  # milliseconds; four mounts take 5, on a busy machine more
# Directories that are on a disk of their own, or in memory, on many machines.
_OTHERS = ("/dev/shm", "/var/tmp", "/tmp")


@cause(
    "MC0446",
    "overlayfs is stacked as deep as the kernel allows",
    stops=("MountOverlay",),
    errnos=(errno.EINVAL,),
    standing=True,
)
def stacked_too_deep(interview: Interview) -> Verdict:
    """The image's tree lies on an overlay whose layers lie on an overlay already, and the
    container's root would be the third. That is how it is in a container which a container engine
    started in another one. The kernel's words go to dmesg, which few may read; the errno is EINVAL.

    A child mounts one overlay on another, which the kernel allows, and one on the tree, which it
    refuses.

    Reproduction (an ordinary user, in a mount namespace of his own):

        unshare -Urm sh -c '
          mount -t tmpfs none "$DIRECTORY" && cd "$DIRECTORY" && cp -a "$IMAGE" image
          mkdir a b first second
          mount -t overlay none -o lowerdir=a:image,userxattr first
          mount -t overlay none -o lowerdir=b:first,userxattr second
          minictr exec "$DIRECTORY/second" true'

    Fix, user: copy the image to a file system that is no overlay; for an image file put the cache
    there.

    Fix, administrator: mount such a file system into the outer container (a volume).

    Not the cause: the image; user namespaces, in which the kernel allows overlays.

    Sources: fs/overlayfs/super.c, ovl_fill_super; include/linux/fs.h, FILESYSTEM_MAX_STACK_DEPTH.
    """
    tree = str(interview.failure.step.__dict__["tree"])
    mount = mount_of(tree, interview.once(mounts))
    if mount is None:
        return Unknown(f"the mount of {tree} is not in /proc/self/mountinfo")
    if mount.kind != "overlay":
        return Excluded(f"{tree} is on {mount.kind}")
    tried = interview.once(_stacking, interview, tree)
    if isinstance(tried, str):
        return Unknown(f"overlays in a child: {tried}")
    if not tried.tree:
        return Excluded("a child can mount an overlay on the tree")
    if tried.twice or tried.tree != errno.EINVAL:
        return Unknown(
            f"a child is refused an overlay on an overlay ({errno_name(tried.twice)}) "
            f"and one on the tree ({errno_name(tried.tree)})"
        )
    return Proof(
        f"{tree} lies on overlays two deep, and the kernel allows no third",
        (
            f"/proc/self/mountinfo: {mount.line}",
            "in a child an overlay on an overlay is mounted, and one on the tree gives EINVAL",
        ),
        fix_user=_copied(interview, tree),
        fix_administrator="Give the outer container a volume for it.",
    )


@cause(
    "MC0449",
    "root's capabilities end before the image: a directory above it is closed",
    stops=("MountOverlay", "BindRoot", "BindTree"),
    errnos=(errno.EACCES,),
)
def closed_to_root(interview: Interview) -> Verdict:
    """root starts minictr, and the image lies in another user's directory that nobody else may
    search, such as a home of mode 0700. Outside root passes by his capabilities. In the container's
    user namespace only his own ids exist, and his capabilities end at files of others.

    Reproduction (root; the image is an ordinary user's):

        chown "$USER" "$IMAGE" && chmod 0700 "$IMAGE"
        minictr exec "$IMAGE" true

    Fix, user: start minictr as that user.

    Fix, administrator: none is needed.

    Not the cause: the format of the image; root's rights outside of the container.

    Sources: user_namespaces(7), "Capabilities"; fs/namei.c, generic_permission, which asks
    kernel/capability.c, capable_wrt_inode_uidgid.
    """
    if interview.host.uid:
        return Excluded("the caller is not root")
    tree = str(interview.failure.step.__dict__["tree"])
    place = interview.once(walk, "", tree)
    found = closed(interview, Way(place), last=True)
    if found is None:
        return Excluded(f"every directory up to {tree} lets the caller through")
    path, status = found
    name = user_name(status.st_uid).partition(" ")[0]
    command = again(interview.request)
    return Proof(
        f"{path} lets nobody but {user_name(status.st_uid)} through, and root has no capability "
        "over it in the container",
        (f"{path}: {rights(status)}; the caller is {interview.host.user} ({interview.host.uid})",),
        fix_user=f"runuser -u {quoted(name)} -- {command}",
    )


def _stacking(interview: Interview, tree: str) -> Stacking | str:
    """How overlays end in namespaces like the container's; words where nobody can say."""
    host = interview.host
    directory = interview.plan.build[0].__dict__["directory"]
    arguments = (tree, directory, host.uid, host.gid)
    answer = ask(stack, *arguments, namespaces=("user", "mnt"), patience=_PATIENCE)
    if answer.trouble or not isinstance(answer.value, tuple):
        return answer.trouble or "no answer"
    return Stacking(*answer.value)


def _copied(interview: Interview, tree: str) -> str:
    """The same launch with the image, or the cache that it is unpacked in, on another disk."""
    table, host = interview.once(mounts), interview.host
    image, name = interview.request.image, tree.rpartition("/")[2]
    other = next((path for path in (host.home or "/", *_OTHERS) if _fits(path, table)), "")
    if not other:
        return "Copy the image to a file system that is no overlay."
    if not stat.S_ISDIR(posix.stat(image).st_mode):
        return f"export MINICTR_CACHEDIR={quoted(f'{other}/minictr-{host.user}')}"
    copy = f"{other}/{host.user}-{name}"
    return f"cp -a {quoted(image)} {quoted(copy)}\n{again(interview.request, image=copy)}"


def _fits(path: str, table: tuple[Mount, ...]) -> bool:
    mount = mount_of(path, table)
    return mount is not None and mount.kind != "overlay" and writable(path)
