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
# A program with a C library, whose data come first, in small blocks: the first has its head.
LINKED = """cp /bin/sh "$IMAGE/bin/dynamic"
    for file in $(ldd /bin/sh | grep -o '/[^ ]*'); do
        mkdir -p "$IMAGE${file%/*}" && cp "$file" "$IMAGE$file"
    done
    libc=$(cd "$IMAGE" && find . -name libc.so.6)
    echo "${libc#./} 100" >"$DIRECTORY/order"
    mksquashfs "$IMAGE" "$DIRECTORY/image.sqfs" -b 4096 -sort "$DIRECTORY/order" \\
        -quiet -no-progress 2>/dev/null
    mksquashfs "$IMAGE/$libc" "$DIRECTORY/alone.sqfs" -b 4096 -quiet -no-progress
    size=$(stat -c %s "$DIRECTORY/alone.sqfs")
    spoil() { dd if=/dev/zero of="$DIRECTORY/image.sqfs" bs=1 seek="$1" count="$2" conv=notrunc \\
        status=none; }
    launch() { minictr exec --unpack never "$DIRECTORY/image.sqfs" "$@"; }"""
# Some of its code, which nobody proves to have been run.
CODE = "spoil $((size / 2)) 5000"

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
    Case(
        "MC0648",
        name="library",
        status=127,
        script=f"{LINKED}; spoil 160 128; launch dynamic -c :",
        proof=(
            "libc.so.6 is damaged in {directory}/image.sqfs: the loader ended the command",
            "libc.so.6 in the container gives EIO from byte 0",
        ),
        fix=("Download or copy the image again.",),
        repaired=f"{LINKED}; launch dynamic -c :",
        # The status is the command's own: the loader needs nothing of what is damaged.
        near=f"{LINKED}; {CODE}; launch dynamic -c 'exit 127' || [ $? = 127 ]",
        impossible=_NO_SERVER,
    ),
    Case(
        "MC0648",
        name="mapped",
        status=135,
        script=f"{LINKED}; spoil 9000 $((size - 14000)); launch dynamic -c :",
        proof=("libc.so.6 is damaged in {directory}/image.sqfs: SIGBUS ended the command",),
        repaired=f"{LINKED}; launch dynamic -c :",
        # The command sends the signal itself.
        near=f"{LINKED}; {CODE}; launch dynamic -c 'kill -BUS $$' || [ $? = 135 ]",
        impossible=_NO_SERVER,
    ),
]
