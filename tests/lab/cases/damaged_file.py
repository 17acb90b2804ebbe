"""Damage of one file in an image that is served."""

from __future__ import annotations

import os
import shutil

from lab.bench import Case

_SERVES = shutil.which("squashfuse_ll") and os.path.exists("/dev/fuse")
_NO_SERVER = "" if _SERVES else "squashfuse_ll or /dev/fuse is missing"
# The first block of data is that of bin/busybox, and the blocks follow one another.
MAKE = """mksquashfs "$IMAGE" "$DIRECTORY/image.sqfs" -quiet -no-progress
    spoil() { head -c 128 /dev/zero |
        dd of="$DIRECTORY/image.sqfs" bs=1 seek="$1" conv=notrunc status=none; }
    launch() { minictr exec --unpack never "$DIRECTORY/image.sqfs" "$@"; }"""
# Behind busybox a file of many blocks, one of which is damaged.
OTHER = f"""seq 300000 >"$IMAGE/bin/zzz"; {MAKE}
    spoil $(($(stat -c %s "$DIRECTORY/image.sqfs") - 200000))
    ! launch cat /bin/zzz >/dev/null 2>&1 || exit 99"""

CASES = [
    Case(
        "MC0648",
        status=126,
        proof=(
            "/bin/busybox is damaged in {directory}/image.sqfs: execve(2) gives EIO",
            "in the container gives EIO from byte 0",
            "unsquashfs: ",
        ),
        fix=("Download or copy the image again.",),
        repaired=f"{MAKE}; launch true",
        near=f"{OTHER}; launch true",
        impossible=_NO_SERVER,
    ),
    Case(
        "MC0648",
        name="later",
        status=135,
        script=f"{MAKE}; spoil 200000; launch true",
        proof=("/bin/busybox is damaged in {directory}/image.sqfs: SIGBUS ended the command",),
        repaired=f"{MAKE}; launch true",
        # The signal comes from a process, and what is damaged is another file.
        near=f"{OTHER}; launch sh -c 'kill -BUS $$' || [ $? = 135 ]",
        impossible=_NO_SERVER,
    ),
]
