"""Faults of the cache and of the programs that fill it, which are refused before any step."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab.bench import SYSTEM_PATH, Case

KERNEL = os.uname().release
WITHOUT_BTRFS = ""
if not shutil.which("mkfs.btrfs", path=SYSTEM_PATH):
    WITHOUT_BTRFS = "there is no mkfs.btrfs (btrfs-progs)"
elif not (
    "\tbtrfs\n" in Path("/proc/filesystems").read_text()
    or any(Path("/lib/modules", KERNEL, "kernel/fs/btrfs").glob("btrfs.ko*"))
):
    WITHOUT_BTRFS = f"Linux {KERNEL} has no btrfs"

RUN = 'MINICTR_CACHEDIR="$DIRECTORY/cache" runuser -u "$USER" -- minictr exec "$SIF" true'
ELSEWHERE = """runuser -u "$USER" -- sh -ec 'eval "$USER_FIX"; minictr exec "$SIF" true
    chmod -R u+w "$MINICTR_CACHEDIR"; rm -r "$MINICTR_CACHEDIR"'"""

SERVED = 'runuser -u "$USER" -- minictr exec --unpack never "$SIF" true'
FUSE = """cp -a /dev/fuse "$DIRECTORY/fuse"; chmod 0600 "$DIRECTORY/fuse"
    mount --bind "$DIRECTORY/fuse" /dev/fuse"""

ON_A_DISK = """mount -t tmpfs -o mode=0777 none "$DIRECTORY"
    export MINICTR_CACHEDIR="$DIRECTORY/cache"; runuser -u "$USER" -- minictr exec "$SIF" true"""
UNPACKED = """export MINICTR_CACHEDIR="$DIRECTORY/cache"
    minictr exec "$SIF" true 2>"$DIRECTORY/said"; cd "$DIRECTORY/cache" """
PLACE_TAKEN = (
    f"""{UNPACKED}; entry=$(ls index); rm -r "index/$entry" trees/*; mkdir "index/$entry" """
)
CLEAN = "minictr cache clean --all"
# A build leaves nothing beside its output.
LEFT = """status=${status:-$?}; [ -z "$(ls -A "$DIRECTORY")" ] && exit $status"""
# More than a file system may keep back, and the pages that an image of it takes.
LARGE = """head -c 18000000 /dev/urandom >"$IMAGE/large"
    runuser -u "$USER" -- minictr build "$DIRECTORY/whole.sif" "$IMAGE" 2>"$CHROOT/first"
    pages=$(($(stat -c %s "$DIRECTORY/whole.sif") / 4096 + 1)); rm "$DIRECTORY/whole.sif" """
# An mksquashfs before which another process writes.
MEANWHILE = r"""meanwhile() { cat >"$CHROOT/mksquashfs" <<END
#!/bin/sh
head -c $1 /dev/zero >"$DIRECTORY/other"
exec $(command -v mksquashfs) "\$@"
END
chmod +x "$CHROOT/mksquashfs"; }"""
# A file system with a limit of a directory; its kernel has btrfs and a free loop device.
WITH_QUOTAS = """grep -qw btrfs /proc/filesystems || modprobe -q btrfs && losetup -f >/dev/null ||
    { echo "no btrfs, or no loop device" >&2; exit 77; }"""
LIMITED = """cd "$DIRECTORY"; truncate -s 300M disk; mkfs.btrfs -q disk; mkdir at
    mount -o loop disk at; btrfs quota enable at; btrfs qgroup limit 1M at; chmod 0777 at"""
IN_IT = 'MINICTR_CACHEDIR="$DIRECTORY/at/cache" runuser -u "$USER" -- minictr exec "$SIF" true'
BUILD_IN_IT = 'runuser -u "$USER" -- minictr build "$DIRECTORY/at/out.sif" "$IMAGE"'
BUILD = 'runuser -u "$USER" -- minictr build "$DIRECTORY/out.sif" "$IMAGE"'

CASES = [
    Case(
        "MC0140",
        proof=("no executable squashfuse_ll in",),
        fix=("install the package squashfuse.",),
        repaired='hide squashfuse_ll; runuser -u "$USER" -- minictr exec "$SIF" true',
        near=f"hide squashfuse; {SERVED}",
    ),
    Case(
        "MC0141",
        proof=("open(/dev/fuse): Permission denied; stat: uid 0, mode 0600",),
        fix=("chmod 666 /dev/fuse",),
        repaired=f'{FUSE}; eval "$ADMINISTRATOR_FIX"; {SERVED}',
        # Closed as well, and the image is unpacked.
        near=f'{FUSE}; runuser -u "$USER" -- minictr exec "$SIF" true',
    ),
    Case(
        "MC0141",
        name="missing",
        as_root=True,
        script=f"""mkdir "$DIRECTORY/dev"; touch "$DIRECTORY/dev/null" "$DIRECTORY/dev/urandom"
            for name in null urandom; do mount --bind /dev/$name "$DIRECTORY/dev/$name"; done
            mount --rbind "$DIRECTORY/dev" /dev; {SERVED}""",
        proof=("open(/dev/fuse): No such file or directory",),
        fix=("modprobe fuse",),
        repaired=SERVED,
        near=f'{FUSE}; runuser -u "$USER" -- minictr exec --unpack background "$SIF" true',
    ),
    Case(
        "MC0118",
        proof=("no executable unsquashfs in",),
        fix=("squashfs-tools",),
        repaired='runuser -u "$USER" -- minictr exec "$SIF" true',
        near='hide mksquashfs; runuser -u "$USER" -- minictr exec "$SIF" true',
    ),
    Case(
        "MC0121",
        proof=("statvfs({directory}",),
        fix=("export MINICTR_CACHEDIR=",),
        repaired=f'mount -t tmpfs -o size=600k,mode=0777 none "$DIRECTORY"; {ELSEWHERE}',
        near=f'mount -t tmpfs -o size=16m,mode=0777 none "$DIRECTORY"; {RUN}',
    ),
    Case(  # What mksquashfs could not end it has removed: by then there is room again.
        "MC0121",
        name="output",
        as_root=True,
        script=f'mount -t tmpfs -o size=300k,mode=0777 none "$DIRECTORY"; {BUILD}',
        proof=("before, statvfs({directory}): 307200 of 307200 bytes are free",),
        fix=("Write the image into another directory of yours.",),
        repaired=f"""mount -t tmpfs -o size=300k,mode=0777 none "$DIRECTORY"; cd /
            umount "$DIRECTORY"; {BUILD}""",
        near=f'mount -t tmpfs -o size=16m,mode=0777 none "$DIRECTORY"; {BUILD}',
    ),
    Case(  # It has room for the root file system, and not for what stands before that.
        "MC0121",
        name="completed",
        as_root=True,
        prepare=LARGE,
        script=f"""mount -t tmpfs -o size=$((pages * 4 - 20))k,mode=0777 none "$DIRECTORY"
            {BUILD}; {LEFT}""",
        proof=("no space is left for the output {directory}", "statvfs({directory}): 0 of "),
        fix=("Write the image into another directory of yours.",),
        repaired=f"""mount -t tmpfs -o size=$((pages * 4 - 20))k,mode=0777 none "$DIRECTORY"; cd /
            umount "$DIRECTORY"; {BUILD}""",
        near=f"""mount -t tmpfs -o size=$((pages * 4 + 4))k,mode=0777 none "$DIRECTORY"; {BUILD}""",
    ),
    Case(
        "MC0121",
        name="meanwhile",  # another process fills the disk
        as_root=True,
        prepare=MEANWHILE,
        script=f"""meanwhile 100M; mount -t tmpfs -o size=64m,mode=0777 none "$DIRECTORY"
            PATH="$CHROOT:$PATH" {BUILD}; status=$?; rm "$DIRECTORY/other"; {LEFT}""",
        proof=("no space is left for the output {directory}", "without what it wrote, statvfs("),
        fix=("Write the image into another directory of yours.",),
        repaired=f"meanwhile 100M; {BUILD}",
        near=f"""meanwhile 1M; mount -t tmpfs -o size=64m,mode=0777 none "$DIRECTORY"
            PATH="$CHROOT:$PATH" {BUILD}""",
    ),
    Case(
        "MC0122",
        name="output",
        as_root=True,
        script=f"""mount -t tmpfs -o nr_inodes=1,mode=0777 none "$DIRECTORY"; {BUILD}; {LEFT}""",
        proof=("no inodes are left for the output {directory}", "and 0 of 1 inodes"),
        fix=("Write the image into another directory of yours.",),
        repaired=f"""mount -t tmpfs -o nr_inodes=1,mode=0777 none "$DIRECTORY"; cd /
            umount "$DIRECTORY"; {BUILD}""",
        near=f'mount -t tmpfs -o nr_inodes=2,mode=0777 none "$DIRECTORY"; {BUILD}',
    ),
    Case(
        "MC0122",
        proof=("statvfs({directory}", "inodes"),
        fix=("export MINICTR_CACHEDIR=",),
        repaired=f'mount -t tmpfs -o nr_inodes=50,mode=0777 none "$DIRECTORY"; {ELSEWHERE}',
        near=f'mount -t tmpfs -o nr_inodes=5000,mode=0777 none "$DIRECTORY"; {RUN}',
    ),
    Case(
        "MC0144",
        prepare=WITH_QUOTAS,
        impossible=WITHOUT_BTRFS,
        proof=(
            "the disk quota for the cache directory {directory}/at/cache is used up",
            "EDQUOT (Disk quota exceeded); statvfs({directory}/at/cache): ",
            "quotactl(2) knows no limit of the user, nor of a group of his, on {directory}/at",
        ),
        fix=("export MINICTR_CACHEDIR=", "`btrfs qgroup show -rF {directory}/at` has it."),
        repaired=f"{LIMITED}; {ELSEWHERE}",
        near=f"{LIMITED}; btrfs qgroup limit 64M at; {IN_IT}",
    ),
    Case(
        "MC0144",
        name="output",
        as_root=True,
        prepare=WITH_QUOTAS,
        impossible=WITHOUT_BTRFS,
        script=f"""{LIMITED}; {BUILD_IN_IT}; status=$?; [ -z "$(ls -A at)" ] && exit $status""",
        proof=("the disk quota for the output {directory}/at is used up",),
        fix=("Write the image into another directory of yours.",),
        repaired=f"{LIMITED}; {BUILD}",
        near=f"{LIMITED}; btrfs qgroup limit 64M at; {BUILD_IN_IT}",
    ),
    Case(
        "MC0124",
        proof=("{directory}/closed belongs to uid {uid}, mode 0555",),
        repaired="""mkdir "$DIRECTORY/closed" && chmod 0755 "$DIRECTORY/closed"
            MINICTR_CACHEDIR="$DIRECTORY/closed/cache" minictr exec "$SIF" true""",
        near="""mkdir -p "$DIRECTORY/closed/cache" && chmod 0555 "$DIRECTORY/closed"
            MINICTR_CACHEDIR="$DIRECTORY/closed/cache" minictr exec "$SIF" true""",
    ),
    Case(
        "MC0125",
        proof=("statvfs({directory}) has ST_RDONLY",),
        fix=("export MINICTR_CACHEDIR=",),
        repaired=f'mount -t tmpfs -o ro none "$DIRECTORY"; {ELSEWHERE}',
        near="""cp "$SIF" "$DIRECTORY"; mount --bind "$DIRECTORY" "$DIRECTORY"
            mount -o remount,bind,ro "$DIRECTORY"
            runuser -u "$USER" -- minictr exec "$DIRECTORY/good.sif" true""",
    ),
    Case(
        "MC0125",
        name="clean",
        as_root=True,
        script=f"""{ON_A_DISK}; mount -o remount,ro "$DIRECTORY"
            runuser -u "$USER" -- {CLEAN}""",
        proof=("statvfs({directory}/cache) has ST_RDONLY",),
        fix=("export MINICTR_CACHEDIR=",),
        repaired=f'{ON_A_DISK}; mount -o remount,ro "$DIRECTORY"; {ELSEWHERE}',
        near=f"""{ON_A_DISK}; mount -o remount,ro "$DIRECTORY"
            runuser -u "$USER" -- minictr cache list
            runuser -u "$USER" -- minictr cache verify""",
    ),
    Case(
        "MC0124",
        name="clean",
        script=f"{UNPACKED}; chmod 0500 trees; {CLEAN}",
        proof=("{directory}/cache/trees denies writing", "mode 0500"),
        fix=("chmod u+w {directory}/cache/trees",),
        repaired=f'{UNPACKED}; chmod 0500 trees; eval "$USER_FIX"; {CLEAN}',
        near=f"{UNPACKED}; chmod 0500 trees; minictr cache list; minictr cache verify",
    ),
    Case(
        "MC0124",
        name="list",
        script=f"{UNPACKED}; chmod 0 trees; minictr cache list",
        proof=("{directory}/cache/trees denies search", "mode 0000"),
        fix=("chmod u+rwx {directory}/cache/trees",),
        repaired=f'{UNPACKED}; chmod 0 trees; eval "$USER_FIX"; minictr cache list',
        near=f"{UNPACKED}; touch trees/stray; minictr cache list; {CLEAN}; test -z $(ls trees)",
    ),
    Case(
        "MC0136",
        name="entry",
        script=f'{PLACE_TAKEN}; minictr exec "$SIF" true',
        proof=("{directory}/cache/index/", "a file has to be there"),
        fix=("mv {directory}/cache/index/",),
        # The fix names the image file, which is another one by then.
        repaired=f"""{PLACE_TAKEN}; minictr exec "$SIF" true 2>"$DIRECTORY/said"
            eval "$(grep -o 'mv [^"]*' "$DIRECTORY/said")"; minictr exec "$SIF" true""",
        near=f'{PLACE_TAKEN}; {CLEAN}; minictr exec "$SIF" true',
    ),
    Case(
        "MC0126",
        proof=("{directory}/cache", "mode 0777"),
        fix=("chmod go-w {directory}/cache",),
        repaired="""mkdir -m 0777 "$DIRECTORY/cache"; eval "$USER_FIX"
            MINICTR_CACHEDIR="$DIRECTORY/cache" minictr exec "$SIF" true""",
        near="""mkdir -m 0755 "$DIRECTORY/cache"
            MINICTR_CACHEDIR="$DIRECTORY/cache" minictr exec "$SIF" true""",
    ),
    Case(
        "MC0127",
        proof=("no executable mksquashfs in",),
        fix=("squashfs-tools",),
        repaired='runuser -u "$USER" -- minictr build "$DIRECTORY/out.sif" "$IMAGE"',
        near='hide unsquashfs; runuser -u "$USER" -- minictr build "$DIRECTORY/out.sif" "$IMAGE"',
    ),
]
