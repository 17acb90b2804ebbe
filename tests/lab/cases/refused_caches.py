"""Faults of the cache and of the programs that fill it, which are refused before any step."""

from __future__ import annotations

from lab.bench import Case

RUN = 'MINICTR_CACHEDIR="$DIRECTORY/cache" runuser -u "$USER" -- minictr exec "$SIF" true'
ELSEWHERE = """runuser -u "$USER" -- sh -ec 'eval "$USER_FIX"; minictr exec "$SIF" true
    chmod -R u+w "$MINICTR_CACHEDIR"; rm -r "$MINICTR_CACHEDIR"'"""

SERVED = 'runuser -u "$USER" -- minictr exec --unpack never "$SIF" true'
FUSE = """cp -a /dev/fuse "$DIRECTORY/fuse"; chmod 0600 "$DIRECTORY/fuse"
    mount --bind "$DIRECTORY/fuse" /dev/fuse"""

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
    Case(
        "MC0122",
        proof=("statvfs({directory}", "inodes"),
        fix=("export MINICTR_CACHEDIR=",),
        repaired=f'mount -t tmpfs -o nr_inodes=50,mode=0777 none "$DIRECTORY"; {ELSEWHERE}',
        near=f'mount -t tmpfs -o nr_inodes=5000,mode=0777 none "$DIRECTORY"; {RUN}',
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
