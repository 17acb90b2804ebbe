"""Faults of what was asked for, which are refused before any step."""

from __future__ import annotations

from lab.bench import Case

_INNER = 'mkdir "$IMAGE/inner" && mount -t tmpfs none "$IMAGE/inner"'
_SEARCHED = f'chown root "$IMAGE" && chmod 0711 "$IMAGE"; {_INNER}; '
_RUN = 'runuser -u "$USER" -- minictr exec "$IMAGE" true'
_READ_ONLY = """mount --bind "$IMAGE" "$IMAGE"; mount -o remount,bind,ro "$IMAGE"
    minictr exec"""

CASES = [
    Case(
        "MC0439",
        proof=("/data is not in the image", "{image}/data does not exist"),
        fix=("mkdir -p {image}/data",),
        repaired="""eval "$USER_FIX"
            minictr exec --writable --bind "$DIRECTORY:/data" "$IMAGE" true""",
        near='minictr exec --bind "$DIRECTORY:/data" "$IMAGE" true',
    ),
    Case(
        "MC0439",
        name="file",
        script='minictr exec --writable --bind /etc/passwd:/data/passwd "$IMAGE" true',
        proof=("{image}/data/passwd does not exist",),
        fix=("mkdir -p {image}/data && touch {image}/data/passwd",),
        repaired="""eval "$USER_FIX"
            minictr exec --writable --bind /etc/passwd:/data/passwd "$IMAGE" true""",
        near="""minictr exec --writable --bind "$DIRECTORY:/bin" \\
            --bind /etc/passwd:/bin/passwd "$IMAGE" true""",
        instead="MC0602",
    ),
    Case(
        "MC0439",
        name="read-only",
        script=f"unshare -Urm sh -ec '{_READ_ONLY} --writable --bind /etc:/new \"$IMAGE\" true'",
        proof=("{image}/new does not exist",),
        fix=("Use --writable-tmpfs",),
        repaired=f"unshare -Urm sh -ec '{_READ_ONLY} --writable-tmpfs --bind /etc:/new "
        '"$IMAGE" true\'',
        near=f"unshare -Urm sh -ec '{_READ_ONLY} --bind /etc:/new \"$IMAGE\" true'",
    ),
    Case(
        "MC0440",
        proof=("it is of the kind sif",),
        fix=("Use --writable-tmpfs, or unpack it into a directory.",),
        repaired='minictr exec --writable-tmpfs "$SIF" true',
        near='minictr exec --writable "$IMAGE" true',
    ),
    Case(  # It comes before what the unpacked tree lacks: nobody is to make that in the cache.
        "MC0440",
        name="bind",
        script='minictr exec --writable --bind /usr:/nosuch "$SIF" true',
        proof=("it is of the kind sif",),
        fix=("Use --writable-tmpfs",),
        repaired='minictr exec --writable-tmpfs --bind /usr:/nosuch "$SIF" true',
        near='minictr exec --writable --bind /usr:/nosuch "$IMAGE" true',
        instead="MC0439",
    ),
    Case(
        "MC0441",
        proof=("{image}/inner is a mount inside the image",),
        fix=("Leave --writable-tmpfs out.",),
        repaired=f"unshare -Urm sh -ec '{_INNER}; minictr exec \"$IMAGE\" true'",
        near=f'unshare -Urm sh -ec \'{_INNER}; umount "$IMAGE/inner"\n'
        'minictr exec --writable-tmpfs "$IMAGE" true\'',
    ),
    Case(
        "MC0442",
        proof=("the image's symbolic links lead from /data to /",),
        repaired='minictr exec --bind "$DIRECTORY:/other" "$IMAGE" true',
        near='ln -s /bin/.. "$IMAGE/data"; minictr exec --bind "$DIRECTORY:/data/in" "$IMAGE" true',
    ),
    Case(
        "MC0442",
        name="dots",
        script='minictr exec --bind "$DIRECTORY:/data/../.." "$IMAGE" true',
        proof=("the .. in /data/../.. lead to /",),
        fix=("Choose another target.",),
        repaired='minictr exec --bind "$DIRECTORY:/data/../other" "$IMAGE" true',
        # The .. alone would lead to /usr: the link is what leads to the root.
        near="""mkdir "$IMAGE/usr"; ln -s /bin "$IMAGE/usr/link"
            minictr exec --bind "$DIRECTORY:/usr/link/.." "$IMAGE" true 2>"$DIRECTORY/said"
            grep -q "symbolic links lead from /usr/link/.. to /" "$DIRECTORY/said" """,
    ),
    Case(
        "MC0443",
        proof=("stat({directory}/work): No such file",),
        fix=("mkdir -p {directory}/work",),
        repaired='eval "$USER_FIX"; minictr exec -c --workdir "$DIRECTORY/work" "$IMAGE" true',
        near='minictr exec --contain --workdir "$DIRECTORY" "$IMAGE" true',
    ),
    Case(
        "MC0443",
        name="of-root",
        script='minictr exec -c --workdir /nowhere/work "$IMAGE" true',
        proof=("stat(/nowhere/work): No such file",),
        fix=("Name another one.", "install -d -o {uid} /nowhere/work"),
        repaired='minictr exec -c --workdir "$DIRECTORY" "$IMAGE" true',
        near='mkdir "$DIRECTORY/work"; minictr exec -c --workdir "$DIRECTORY/work" "$IMAGE" true',
    ),
    Case(
        "MC0443",
        name="closed",
        script="""mkdir "$DIRECTORY/work"; chown root "$DIRECTORY"; chmod 0700 "$DIRECTORY"
            runuser -u "$USER" -- minictr exec -c --workdir "$DIRECTORY/work" "$IMAGE" true""",
        proof=("stat({directory}/work): Permission denied",),
        repaired=_RUN,
        near="""install -d -m 0700 -o "$USER" "$DIRECTORY/work"
            runuser -u "$USER" -- minictr exec -c --workdir "$DIRECTORY/work" "$IMAGE" true""",
        as_root=True,
    ),
    Case(
        "MC0444",
        proof=("opendir({image}): Permission denied",),
        fix=("setfacl -m u:{uid}:rx {image}",),
        repaired=f'{_SEARCHED}setfacl -m "u:$USER:rx" "$IMAGE"; {_RUN}',
        near=f'chown root "$IMAGE" && chmod 0711 "$IMAGE"; {_RUN}',
    ),
    Case(
        "MC0445",
        proof=('unsupported mount type "tmpfs"', "type=tmpfs,destination=/data"),
        fix=("Write a mount as type=bind,source=SOURCE,destination=TARGET[,ro].",),
        repaired="""minictr exec \\
            --mount "type=bind,source=$DIRECTORY,destination=/data,ro" "$IMAGE" true""",
        near='minictr exec --bind "$DIRECTORY:/data:rw,ro" "$IMAGE" true',
    ),
    Case(
        "MC0445",
        name="relative",
        script='minictr exec --bind "$DIRECTORY:data" "$IMAGE" true',
        proof=("the bind target data is not an absolute path",),
        fix=("Write a bind as SOURCE[:TARGET[:ro]].",),
        repaired='minictr exec --bind "$DIRECTORY:/data" "$IMAGE" true',
        near='cd "$DIRECTORY"; mkdir in; minictr exec --bind in:/data "$IMAGE" true',
    ),
    Case(
        "MC0453",
        proof=("--net alone is refused: only --network none works without privilege",),
        fix=("Add --network none.",),
        repaired='minictr exec --net --network none "$IMAGE" true',
        near='minictr exec --net=false "$IMAGE" true',
    ),
    Case(
        "MC0453",
        name="configuration",
        script="""mkfifo "$DIRECTORY/options"
            minictr --config "$DIRECTORY/options" exec "$IMAGE" true""",
        proof=("{directory}/options cannot be read: it is a FIFO",),
        repaired="""echo 'cleanenv = true' >"$DIRECTORY/options"
            minictr --config "$DIRECTORY/options" exec "$IMAGE" true""",
        near='minictr --config /dev/null exec "$IMAGE" true',
    ),
]
