"""What stops a path of the host or of the container: links, lengths, FUSE mounts on the way."""

from __future__ import annotations

import errno
import os

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.fuse import fuse_mount, lets_others_in, owner, point_of
from minictr.diagnosis.probes.inside import host_path
from minictr.diagnosis.probes.ways import none_of_them, ways
from minictr.diagnosis.rights import user_name
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import printable, quoted
from minictr.runtime.mounts import HOST, ROOT

_PATH_MAX, _NAME_MAX = 4096, 255  # bytes, the NUL of a path among them: linux/limits.h
_SHOWN = 60  # characters of a long path


@cause(
    "MC0425",
    "a path leads through more than 40 symbolic links",
    stops=("Bind", "MountEmpty", "ChangeDirectory"),
    errnos=(errno.ELOOP, errno.ENOENT),
)
def links_without_end(interview: Interview) -> Verdict:
    """The source or the target of a bind, or the working directory, leads from one symbolic link to
    the next, and the kernel follows 40: nearly always because a link leads back to itself.

    Reproduction (an ordinary user):

        ln -s first "$DIRECTORY/second" && ln -s second "$DIRECTORY/first"
        minictr exec --bind "$DIRECTORY/first:/data" "$IMAGE" true

    Fix, user: remove the link or correct what it points to.

    Fix, administrator: none is needed.

    Not the cause: a missing file. A link that leads to nothing is another cause.

    Sources: path_resolution(7); symlink(7); fs/namei.c, step_into (MAXSYMLINKS).
    """
    for way in ways(interview):
        place = way.place
        if place.errno != errno.ELOOP:
            continue
        fix = f"Correct the link: `ls -l {quoted(place.link)}` shows it."
        if way.inside:
            shown = printable(place.link)
            fix = f"Correct {shown} in the container, or name the directory without it."
        return Proof(
            f"{way.named(place.path)} leads through more than 40 symbolic links",
            (f"the 41st is {place.link}, which points to {place.target}",),
            fix_user=fix,
        )
    return none_of_them(interview, "no path of the call leads through that many")


@cause(
    "MC0426",
    "a path, or a name in it, is longer than the kernel takes",
    stops=(
        "Bind", "MountEmpty", "ChangeDirectory", "MakeSkeleton", "MountOverlay", "BindRoot",
        "BindTree", "CoverCache",
    ),
    errnos=(errno.ENAMETOOLONG, errno.EINVAL),
)  # fmt: skip
def too_long(interview: Interview) -> Verdict:
    """A name has 255 bytes at most and a path 4095. While the container is assembled its paths
    begin with /root and the host's with /host, so a path that just fits elsewhere is too long here.
    Of a mount's source the kernel says EINVAL, of everything else ENAMETOOLONG.

    Reproduction (an ordinary user):

        minictr exec --pwd "/$(printf %0256d 0)" "$IMAGE" true

    Fix, user: use a shorter path; a symbolic link can stand for the beginning of a long one.

    Fix, administrator: none is needed.

    Not the cause: the number of binds, or the length of the command line.

    Sources: mount(2), ENAMETOOLONG; path_resolution(7), "Length limit"; mm/util.c, strndup_user;
    the lookup of the file system, of overlayfs fs/overlayfs/namei.c, ovl_lookup.
    """
    for argument in interview.failure.arguments:
        text = str(argument)
        raw = os.fsencode(text)
        longest = max((len(name) for name in raw.split(b"/")), default=0)
        if not text.startswith("/") or (len(raw) < _PATH_MAX and longest <= _NAME_MAX):
            continue
        shown = printable(text.removeprefix(HOST).removeprefix(ROOT)[:_SHOWN]) + "..."
        if longest > _NAME_MAX:
            what = f"a name in {shown} is too long"
            seen = f"it has {longest} bytes; a name has {_NAME_MAX} at most"
        else:
            what = f"the path {shown} is too long"
            seen = f"the kernel was given {len(raw)} bytes; a path has {_PATH_MAX - 1} at most"
        return Proof(what, (seen,), fix_user="Use a shorter path.")
    return Excluded("every path of the call is short enough")


@cause(
    "MC0427",
    "a FUSE mount lets in nobody but the user who mounted it",
    stops=("Bind", "MountEmpty", "ChangeDirectory"),
    errnos=(errno.EACCES, errno.ENOENT),
)
def fuse_of_another(interview: Interview) -> Verdict:
    r"""sshfs, squashfuse, rclone and their like serve the user who started them. The kernel refuses
    everybody else, root too, whatever the modes of the files say: a server which another user runs
    could hold up whoever asks it.

    Reproduction (root; an ordinary user starts the launch. fuse-mount is in tests/lab/tools):

        fuse-mount "$DIRECTORY" runuser -u "$USER" -- \
          minictr exec --bind "$DIRECTORY/data:/data" "$IMAGE" true

    Fix, user: mount it yourself, as the user who starts minictr.

    Fix, administrator: whoever mounts it adds -o allow_other; for users other than root this asks
    for user_allow_other in /etc/fuse.conf.

    Not the cause: the mode of the mount point or of a directory above it.

    Sources: fuse(8), allow_other; fs/fuse/dir.c, fuse_permission, which asks
    fuse_allow_current_process.
    """
    found = fuse_mount(interview, errno.EACCES)
    if found is None:
        return none_of_them(interview, "no path of the call ends at a FUSE mount")
    way, mount = found
    point, uid, host = point_of(way), owner(mount), interview.host
    if uid is None or lets_others_in(mount):
        return Excluded(f"the FUSE mount on {point} has allow_other")
    if uid == host.uid:
        return Unknown(f"the FUSE mount on {point} has the same user id as the caller")
    start = f"Start minictr as {user_name(uid)}." if host.uid == 0 else f"Mount it as {host.user}."
    return Proof(
        f"the FUSE mount on {way.named(point)} lets in {user_name(uid)} and nobody else",
        (
            f"lstat({point}): EACCES, and the directory above may be searched",
            f"mountinfo: {mount.line}",
            f"the caller is {host.user} ({host.uid})",
        ),
        fix_user=start,
        fix_administrator=f"Have {user_name(uid)} mount it with -o allow_other.",
    )


@cause(
    "MC0429",
    "the server of a FUSE mount has ended",
    stops=("Bind", "MountEmpty", "ChangeDirectory"),
    errnos=(errno.ENOTCONN, errno.ENOENT),
)
def fuse_without_server(interview: Interview) -> Verdict:
    r"""The program that served a FUSE mount (sshfs, squashfuse, rclone, ...) was ended or crashed,
    and the mount is still there: every look into it gives ENOTCONN, "transport endpoint is not
    connected".

    Reproduction (an ordinary user; fuse-mount is in tests/lab/tools):

        unshare -Urm fuse-mount --dead "$DIRECTORY" \
          minictr exec --bind "$DIRECTORY/data:/data" "$IMAGE" true

    Fix, user: fusermount3 -u DIRECTORY, then mount it anew.

    Fix, administrator: umount DIRECTORY does the same.

    Not the cause: the network, whatever the errno is called; minictr.

    Sources: fuse(4); fs/fuse/dev.c, fuse_get_req.
    """
    found = fuse_mount(interview, errno.ENOTCONN)
    if found is None:
        return none_of_them(interview, "no path of the call ends at a FUSE mount")
    way, mount = found
    point, root = point_of(way), interview.host.uid == 0
    outside = host_path(interview, point) if way.inside else point
    command = "umount" if root else "fusermount3 -u"
    return Proof(
        f"the program that serves the FUSE mount on {way.named(point)} has ended",
        (f"lstat({point}): ENOTCONN", f"mountinfo: {mount.line}"),
        fix_user=f"{command} {quoted(outside or point)}\nMount it anew.",
        fix_administrator="" if root else f"umount {quoted(outside or point)}",
    )
