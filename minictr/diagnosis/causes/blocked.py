"""What stops a mount point: what the container has at it or on the way to it."""

from __future__ import annotations

import errno

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.making import wanted
from minictr.diagnosis.probes.ways import closed, none_of_them, reaches, ways
from minictr.diagnosis.rights import rights
from minictr.diagnosis.values import Proof, Unknown, Verdict


@cause(
    "MC0433",
    "a file is where a directory on the way to a mount point has to be",
    stops=("Bind", "MountEmpty"),
    errnos=(errno.ENOTDIR,),
)
def below_a_file(interview: Interview) -> Verdict:
    """A mount point lies below a path that is a file: in the image, in what another bind shows, or
    because another bind has put a file there. The same can be true of --workdir.

    Reproduction (an ordinary user; the image has the file /bin/busybox):

        minictr exec --bind "$DIRECTORY:/bin/busybox/data" "$IMAGE" true

    Fix, user: choose a target that is not below a file.

    Fix, administrator: none is needed.

    Not the cause: the source of the bind, which may be a directory or a file.

    Sources: path_resolution(7), ENOTDIR; mkdir(2); fs/namei.c, link_path_walk.
    """
    for way in ways(interview):
        place = way.place
        if place.errno != errno.ENOTDIR or (not way.inside and interview.failure.witness):
            continue
        return Proof(
            f"{wanted(interview)} lies below {place.reached}, which is a file",
            (f"stat({way.named(place.reached)}): {rights(place.status)}",),
            fix_user=f"Choose a path that is not below {place.reached}.",
        )
    return none_of_them(interview, "no path of the call goes through a file")


@cause(
    "MC0435",
    "an empty directory is wanted where the container has a file",
    stops=("MountEmpty",),
    errnos=(errno.ENOTDIR,),
)
def on_a_file(interview: Interview) -> Verdict:
    """--scratch puts an empty directory of memory at a path, and the container has a file there. A
    file system is mounted on a directory, never on a file.

    Reproduction (an ordinary user; the image has the file /bin/busybox):

        minictr exec --scratch /bin/busybox "$IMAGE" true

    Fix, user: name a directory, or a path that is not there.

    Fix, administrator: none is needed.

    Not the cause: rights on the file.

    Sources: mount(2), ENOTDIR; fs/namespace.c, graft_tree.
    """
    for way in ways(interview):
        if interview.failure.call != "mount" or not way.inside:
            continue
        if way.place.found and not way.place.is_directory():
            path = way.place.path
            return Proof(
                f"{path} is a file in the container, and an empty directory cannot go there",
                (f"stat({path}) in the container: {rights(way.place.status)}",),
                fix_user=f"Name a directory in place of {path}, or a path that is not there.",
            )
    return none_of_them(interview, "the container has no file there")


@cause(
    "MC0436",
    "a directory on the way to a mount point denies search",
    stops=("Bind", "MountEmpty"),
    errnos=(errno.EACCES,),
)
def behind_a_closed_directory(interview: Interview) -> Verdict:
    r"""The mount point lies behind a directory, of the image or of what another bind shows, that
    this user may not search. Whether it is there cannot even be seen. So it is with --workdir.

    Reproduction (root makes the directory, an ordinary user starts the launch):

        mkdir -m 0700 "$DIRECTORY/closed"
        runuser -u "$USER" -- minictr exec --bind "$DIRECTORY:/data" \
          --bind /usr:/data/closed/host "$IMAGE" true

    Fix, user: choose a target that is not behind that directory.

    Fix, administrator: none is needed.

    Not the cause: the source of the bind.

    Sources: path_resolution(7), "Step 2"; user_namespaces(7), "Capabilities"; fs/namei.c,
    generic_permission.
    """
    for way in ways(interview):
        made = interview.failure.call != "mount"  # for --workdir, on the host
        found = closed(interview, way) if way.inside or made else None
        if found is None:
            continue
        path, status = found
        if way.inside and reaches(interview, status) is not False:
            return Unknown(f"behind {path} the launcher cannot look")
        host = interview.host
        return Proof(
            f"{way.named(path)} denies search, so {wanted(interview)} cannot be reached",
            (f"{path}: {rights(status)}; the caller is {host.user} ({host.uid})",),
            fix_user=f"Choose a path outside of {path}.",
        )
    return none_of_them(interview, "every directory on the way lets the caller through")
