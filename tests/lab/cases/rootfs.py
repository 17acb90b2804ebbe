"""Faults of the root file system and of what is bound into it."""

from __future__ import annotations

from lab.bench import Case

CASES = [
    Case(
        "MC0401",
        proof=("does not exist: {directory}/data", "{directory} has no entry data"),
        fix=("mkdir -p {directory}/data",),
        repaired='eval "$USER_FIX" && minictr exec --bind "$DIRECTORY/data:/data" "$IMAGE" true',
        # The mount point is missing, which minictr makes.
        near='minictr exec --bind "$DIRECTORY:/no/such/place" "$IMAGE" true',
    ),
    Case(
        "MC0401",
        name="proc",  # the fix makes no directory there
        script='minictr exec --bind /proc/self/fd/99:/data "$IMAGE" true',
        proof=("/data does not exist: /proc/self/fd/99",),
        fix=("Correct the path: `ls /proc/",),
        repaired='test -z "$USER_FIX"; minictr exec --bind /proc/self/fd/0:/data "$IMAGE" true',
        near='minictr exec --bind /proc/self/fd/0:/data "$IMAGE" true',
    ),
    Case(
        "MC0401",
        name="comma",  # which the fix writes as it has to be
        script="""mkdir "$DIRECTORY/a,b" "$DIRECTORY/a"
            minictr exec --bind "$DIRECTORY/a,b:/data" "$IMAGE" true""",
        proof=("the source of the bind on /data does not exist: ",),
        fix=("--bind '{directory}/a\\,b:/data' binds {directory}/a,b.",),
        repaired="""mkdir "$DIRECTORY/a,b" "$DIRECTORY/a"; touch "$DIRECTORY/a,b/file"
            minictr exec --bind "$DIRECTORY/a\\,b:/data" "$IMAGE" test -e /data/file""",
        # Both are there: whoever has such a directory as well can have meant two binds.
        near="""cd "$DIRECTORY"; mkdir a,b a b; touch b/file
            minictr exec --bind "$DIRECTORY/a,b:/data" "$IMAGE" test -e /data/file""",
    ),
    Case(
        "MC0401",
        name="link",
        script="""ln -s /nosuch/place "$DIRECTORY/data"
            minictr exec --bind "$DIRECTORY/data:/data" "$IMAGE" true""",
        proof=("/ has no entry nosuch", "{directory}/data points to /nosuch/place"),
        repaired="""ln -s "$IMAGE" "$DIRECTORY/data"
            minictr exec --bind "$DIRECTORY/data:/data" "$IMAGE" true""",
        near="""ln -s "$IMAGE" "$DIRECTORY/data"
            minictr exec --bind "$DIRECTORY/data:/data" "$IMAGE" true""",
    ),
    Case(
        "MC0402",
        proof=("{directory}/closed denies search", "owner root (0)", "mode 0700", "{user}"),
        fix=("setfacl -m u:{user}:x {directory}/closed",),
        repaired="""mkdir -p "$DIRECTORY/closed/data" && chmod 0700 "$DIRECTORY/closed"
            sh -c "$ADMINISTRATOR_FIX" && runuser -u "$USER" -- \
                minictr exec --bind "$DIRECTORY/closed/data:/data" "$IMAGE" true""",
        near="""mkdir -p "$DIRECTORY/data" && chmod 0000 "$DIRECTORY/data"
            runuser -u "$USER" -- minictr exec --bind "$DIRECTORY/data:/data" "$IMAGE" true""",
    ),
    Case(
        "MC0402",
        name="link",  # the kernel says ENOENT: a link that begins with / leads elsewhere there
        script="""install -d -m 0000 -o "$USER" "$DIRECTORY/closed"
            ln -s "$DIRECTORY/closed/data" "$DIRECTORY/link"; runuser -u "$USER" -- \\
                minictr exec --bind "$DIRECTORY/link:/data" "$IMAGE" true""",
        proof=("{directory}/closed denies search, so {directory}/link cannot be bound",),
        fix=("chmod u+x {directory}/closed",),
        repaired="""install -d -m 0000 -o "$USER" "$DIRECTORY/closed" "$DIRECTORY/closed/data"
            ln -s "$DIRECTORY/closed/data" "$DIRECTORY/link"; runuser -u "$USER" -- sh -ec '
                eval "$USER_FIX"; minictr exec --bind "$DIRECTORY/link:/data" "$IMAGE" true'""",
        near="""ln -s "$DIRECTORY/closed/data" "$DIRECTORY/link"; runuser -u "$USER" -- \\
                minictr exec --bind "$DIRECTORY/link:/data" "$IMAGE" true""",
        instead="MC0401",
    ),
    Case(
        "MC0402",
        name="root",  # whose capabilities end where the container begins
        script="""install -d -m 0700 -o "$USER" "$DIRECTORY/closed"
            mkdir "$DIRECTORY/closed/in"; cd "$DIRECTORY/closed/in"
            minictr exec --no-mount tmp "$IMAGE" true""",
        proof=("{directory}/closed denies search", "the caller is root (0)"),
        fix=("minictr exec --no-mount cwd --no-mount tmp {image} true",),
        repaired="""install -d -m 0700 -o "$USER" "$DIRECTORY/closed"
            mkdir "$DIRECTORY/closed/in"; cd "$DIRECTORY/closed/in"; eval "$USER_FIX\"""",
        near="""install -d -m 0711 -o "$USER" "$DIRECTORY/closed"
            mkdir "$DIRECTORY/closed/in"; cd "$DIRECTORY/closed/in"
            minictr exec --no-mount tmp "$IMAGE" true""",
    ),
    Case(
        "MC0403",
        proof=("/bin is a directory in the container", "{directory}/file is a file"),
        fix=("--bind {directory}/file:/bin/file",),
        repaired='echo text >"$DIRECTORY/file"; eval "$USER_FIX"',
        near="""echo text >"$DIRECTORY/file"
            minictr exec --bind "$DIRECTORY/file:/no/such/file" "$IMAGE" true""",
    ),
    Case(
        "MC0403",
        name="directory",
        script='minictr exec --bind "$DIRECTORY:/bin/busybox" "$IMAGE" true',
        proof=("/bin/busybox is a file in the container", "{directory} is a directory"),
        repaired='minictr exec --bind "$DIRECTORY:/data" "$IMAGE" true',
        near="""echo text >"$DIRECTORY/file"
            minictr exec --bind "$DIRECTORY/file/deeper:/data" "$IMAGE" true""",
        instead="MC0401",
    ),
    Case(
        "MC0403",
        name="home",
        script='minictr exec --home /etc/passwd:/home/me "$IMAGE" true',
        proof=("/home/me is a directory in the container, and /etc/passwd is a file",),
        fix=("Give a directory in place of /etc/passwd.",),
        repaired='minictr exec --home "$DIRECTORY:/home/me" "$IMAGE" true',
        near='minictr exec --home "$DIRECTORY/no:/home/me" "$IMAGE" true',
    ),
    Case(
        "MC0404",
        proof=("VFS: Mount too revealing", "/proc/uptime"),
        fix=("minictr exec --no-pid ", "umount /proc/uptime"),
        repaired="""unshare -Urm sh -ec 'mount --bind /dev/null /proc/uptime
            eval "$USER_FIX"; eval "$ADMINISTRATOR_FIX"; minictr exec "$IMAGE" true'""",
        # The kernel keeps that directory empty: a mount there hides nothing.
        near="""unshare -Urm sh -c 'mount -t tmpfs none /proc/sys/fs/binfmt_misc
            minictr exec "$IMAGE" true'""",
    ),
    Case(
        "MC0405",
        proof=("/srv/work does not exist in the container", "/ has no entry srv"),
        fix=("minictr exec {image} true",),
        repaired='eval "$USER_FIX"',
        near='minictr exec --pwd "$DIRECTORY" "$IMAGE" true',
    ),
    Case(
        "MC0405",
        name="host",
        script='minictr exec --no-mount tmp --pwd "$DIRECTORY" "$IMAGE" true',
        proof=("the host has a directory {directory}, which is not bound",),
        fix=("minictr exec --bind {directory} ",),
        repaired='eval "$USER_FIX"',
        near='minictr exec --no-mount tmp --pwd /bin "$IMAGE" true',
    ),
]
