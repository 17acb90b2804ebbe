"""Faults of paths: links, lengths, FUSE mounts, sources that no path leads to."""

from __future__ import annotations

import os

from lab.bench import Case

_NO_FUSE = "" if os.access("/dev/fuse", os.R_OK | os.W_OK) else "/dev/fuse is missing or closed"
_BIND = 'minictr exec --bind "$DIRECTORY/first:/data" "$IMAGE" true'
_LOOP = 'ln -s "$DIRECTORY/first" "$DIRECTORY/second"\n'
# Forty links are followed, and the kernel counts those of the way that is asked for alone.
_FORTY = """ln -s "$IMAGE" "$DIRECTORY/40"
    for n in $(seq 40); do ln -s "$n" "$DIRECTORY/$((n - 1))" 2>/dev/null; done
    """
_DEEP = """name=$(printf %0200d 0); cd "$DIRECTORY"
    for n in $(seq 19); do mkdir "$name" && cd "$name"; done
    left=$((4092 - $(pwd | tr -d '\\n' | wc -c) - 1)); name=$(printf %0${left}d 0)
    mkdir "$name" && cd "$name"
    """

CASES = [
    Case(
        "MC0425",
        proof=("{directory}/first leads through more than 40 symbolic links", "points to second"),
        fix=("ls -l {directory}/first",),
        repaired=f'ln -s "$IMAGE" "$DIRECTORY/first"; {_BIND}',
        near=f'ln -s second "$DIRECTORY/first"; {_BIND}',
        instead="MC0401",
    ),
    Case(
        "MC0425",
        name="absolute",  # which the kernel meets as ENOENT: there it leads elsewhere
        script=f'{_LOOP}ln -s "$DIRECTORY/second" "$DIRECTORY/first"; {_BIND}',
        proof=("which points to {directory}/second",),
        repaired=f'{_LOOP}ln -s "$IMAGE" "$DIRECTORY/first"; {_BIND}',
        near=f'{_FORTY}minictr exec --bind "$DIRECTORY/1:/data" "$IMAGE" true',
    ),
    Case(
        "MC0425",
        name="target",
        script='ln -s loop "$IMAGE/loop"; minictr exec --bind "$DIRECTORY:/loop" "$IMAGE" true',
        proof=("/loop: Too many levels",),
        repaired='minictr exec --bind "$DIRECTORY:/data" "$IMAGE" true',
        near='ln -s data "$IMAGE/loop"; minictr exec --bind "$DIRECTORY:/loop" "$IMAGE" true',
    ),
    Case(
        "MC0425",
        name="pwd",
        script="""ln -s loop "$DIRECTORY/loop"
            minictr exec --bind "$DIRECTORY:/data" --pwd /data/loop "$IMAGE" true""",
        proof=("/data/loop in the container leads through", "the 41st is /data/loop"),
        repaired='minictr exec --bind "$DIRECTORY:/data" --pwd /data "$IMAGE" true',
        near="""ln -s nowhere "$DIRECTORY/loop"
            minictr exec --bind "$DIRECTORY:/data" --pwd /data/loop "$IMAGE" true""",
        instead="MC0405",
    ),
    Case(
        "MC0426",
        name="target",
        script='minictr exec --bind "$DIRECTORY:/$(printf %0256d 0)" "$IMAGE" true',
        proof=("a name has 255 bytes at most",),
        repaired='minictr exec --bind "$DIRECTORY:/$(printf %0255d 0)" "$IMAGE" true',
        near='minictr exec --bind "$DIRECTORY:/$(printf %0255d 0)" "$IMAGE" true',
    ),
    Case(
        "MC0426",
        name="source",  # the kernel says EINVAL
        script=f'{_DEEP}minictr exec --no-mount cwd --bind "$PWD:/data" "$IMAGE" true',
        proof=("the path {directory}/", "bytes; a path has 4095 at most"),
        repaired=f'{_DEEP}cd ..; minictr exec --no-mount cwd --bind "$PWD:/data" "$IMAGE" true',
        near=f'{_DEEP}cd ..; minictr exec --no-mount cwd --bind "$PWD/no:/data" "$IMAGE" true',
        instead="MC0401",
    ),
    Case(
        "MC0426",
        proof=("it has 256 bytes; a name has 255 at most",),
        repaired='minictr exec --pwd /bin "$IMAGE" true',
        near='minictr exec --pwd "/$(printf %0255d 0)" "$IMAGE" true',
        instead="MC0405",
    ),
    Case(
        "MC0427",
        proof=(
            "the FUSE mount on {directory} lets in root (0) and nobody else",
            "the caller is {user} ({uid})",
        ),
        fix=("Mount it as {user}.", "allow_other"),
        repaired="""mkdir "$DIRECTORY/data"; runuser -u "$USER" -- \\
            minictr exec --bind "$DIRECTORY/data:/data" "$IMAGE" true""",
        near="""mkdir -p "$DIRECTORY/data"; chown root "$DIRECTORY"; chmod 0700 "$DIRECTORY"
            runuser -u "$USER" -- minictr exec --bind "$DIRECTORY/data:/data" "$IMAGE" true""",
        instead="MC0402",
        as_root=True,
        impossible=_NO_FUSE,
    ),
    Case(
        "MC0427",
        name="pwd",
        script="""fuse-mount "$DIRECTORY" runuser -u "$USER" -- \\
            minictr exec --bind "$DIRECTORY:/data" --pwd /data "$IMAGE" true""",
        proof=("the FUSE mount on /data in the container lets in root (0)",),
        repaired="""runuser -u "$USER" -- \\
            minictr exec --bind "$DIRECTORY:/data" --pwd /data "$IMAGE" true""",
        near="""chown root "$DIRECTORY"; chmod 0700 "$DIRECTORY"; runuser -u "$USER" -- \\
            minictr exec --bind "$DIRECTORY:/data" --pwd /data "$IMAGE" true""",
        instead="MC0438",
        as_root=True,
        impossible=_NO_FUSE,
    ),
    Case(
        "MC0427",
        name="image",
        script="""fuse-mount "$DIRECTORY" runuser -u "$USER" -- \\
            minictr exec "$DIRECTORY/image" true""",
        proof=("the FUSE mount on {directory} lets in uid 0 and nobody else", "fuse.lab"),
        repaired="""cp -a "$IMAGE" "$DIRECTORY/image"
            runuser -u "$USER" -- minictr exec "$DIRECTORY/image" true""",
        near="""chown root "$DIRECTORY"; chmod 0700 "$DIRECTORY"
            runuser -u "$USER" -- minictr exec "$DIRECTORY/image" true""",
        instead="MC0102",
        as_root=True,
        impossible=_NO_FUSE,
    ),
    Case(
        "MC0428",
        proof=("the source of the bind on /data is a pipe", "opens as pipe:["),
        repaired="""echo text >"$DIRECTORY/file"
            minictr exec --bind "$DIRECTORY/file:/data" "$IMAGE" true""",
        near="""echo text >"$DIRECTORY/file"
            minictr exec --bind /dev/fd/5:/data "$IMAGE" true 5<"$DIRECTORY/file\"""",
    ),
    Case(
        "MC0428",
        name="deleted",
        script="""exec 5>"$DIRECTORY/file"; rm "$DIRECTORY/file"
            minictr exec --bind /proc/self/fd/5:/data "$IMAGE" true""",
        proof=("is a file that no directory has", "{directory}/file (deleted)"),
        repaired='minictr exec --bind "$DIRECTORY:/data" "$IMAGE" true',
        near="""echo text >"$DIRECTORY/file (deleted)"
            minictr exec --bind "$DIRECTORY/file (deleted):/data" "$IMAGE" true""",
    ),
    Case(
        "MC0428",
        name="elsewhere",
        script="""unshare -Urm sh -c 'mount -t tmpfs none "$DIRECTORY" && mkdir "$DIRECTORY/data"
                exec sleep 20' & sleep 0.5
            minictr exec --bind "/proc/$!/root$DIRECTORY/data:/data" "$IMAGE" true; status=$?
            kill $!; exit $status""",
        proof=("is in another mount namespace: /proc/", "on no mount of /proc/self/mountinfo"),
        repaired='minictr exec --bind /bin:/data "$IMAGE" true',
        near='minictr exec --bind "/proc/$$/root/bin:/data" "$IMAGE" true',
    ),
    Case(
        "MC0429",
        proof=("the FUSE mount on {directory} has ended", "lstat({directory}): ENOTCONN"),
        fix=("umount {directory}",),
        repaired="""unshare -Urm fuse-mount --dead "$DIRECTORY" sh -ec 'eval "$USER_FIX"
            mkdir "$DIRECTORY/data"; minictr exec --bind "$DIRECTORY/data:/data" "$IMAGE" true'""",
        near='minictr exec --bind "$DIRECTORY/data:/data" "$IMAGE" true',
        instead="MC0401",
        impossible=_NO_FUSE,
    ),
    Case(
        "MC0429",
        name="pwd",
        script="""unshare -Urm fuse-mount --dead "$DIRECTORY" \\
            minictr exec --bind "$DIRECTORY:/data" --pwd /data "$IMAGE" true""",
        proof=("the FUSE mount on /data in the container has ended",),
        fix=("umount {directory}",),
        repaired="""unshare -Urm fuse-mount --dead "$DIRECTORY" sh -ec 'eval "$USER_FIX"
            minictr exec --bind "$DIRECTORY:/data" --pwd /data "$IMAGE" true'""",
        near='minictr exec --bind "$DIRECTORY:/data" --pwd /data/no "$IMAGE" true',
        instead="MC0405",
        impossible=_NO_FUSE,
    ),
    Case(
        "MC0429",
        name="image",
        script="""unshare -Urm fuse-mount --dead "$DIRECTORY" \\
            minictr exec "$DIRECTORY/image" true""",
        proof=("the program that serves the FUSE mount on {directory} has ended",),
        fix=("umount {directory}",),
        repaired="""cp -a "$IMAGE" "$DIRECTORY/image"
            unshare -Urm fuse-mount --dead "$DIRECTORY" sh -ec 'eval "$USER_FIX"
                minictr exec "$DIRECTORY/image" true'""",
        near='minictr exec "$DIRECTORY/image" true',
        instead="MC0101",
        impossible=_NO_FUSE,
    ),
]
