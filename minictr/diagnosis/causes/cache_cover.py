"""What stops the cover of the cache: it is a file."""

from __future__ import annotations

import errno
import stat

from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.rights import rights
from minictr.diagnosis.values import Excluded, Proof, Unknown, Verdict
from minictr.image.refusals import quoted
from minictr.modules import cache_directory


@cause(
    "MC0448",
    "the cache directory is a file",
    stops=("CoverCache",),
    errnos=(errno.ENOTDIR,),
    standing=True,
)
def cache_is_a_file(interview: Interview) -> Verdict:
    """MINICTR_CACHEDIR, or what stands in the cache's place in the home directory, is a file. The
    cache is covered by an empty file system where a bind would show it inside, and that can only be
    mounted on a directory.

    Reproduction (an ordinary user):

        echo text >"$DIRECTORY/cache"
        MINICTR_CACHEDIR="$DIRECTORY/cache" minictr exec "$IMAGE" true

    Fix, user: MINICTR_CACHEDIR with a directory.

    Fix, administrator: none is needed.

    Not the cause: the image, which has not been looked for in the cache.

    Sources: mount(2), ENOTDIR; fs/namespace.c, graft_tree.
    """
    environment = dict(interview.request.host_environment)
    path = cache_directory(environment)
    place = walk("", path)
    if place.status is None or not place.found:
        return Unknown(f"the way to {path}: {place.end()}")
    if stat.S_ISDIR(place.status.st_mode):
        return Excluded(f"{path} is a directory")
    fix = "unset MINICTR_CACHEDIR" if environment.get("MINICTR_CACHEDIR") else f"rm {quoted(path)}"
    return Proof(
        f"the cache directory {path} is a file",
        (f"stat({path}): {rights(place.status)}",),
        fix_user=fix,
    )
