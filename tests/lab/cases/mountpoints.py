"""Faults of mount points: nothing can be made where they have to be, or something is in the way."""

from __future__ import annotations

from lab.bench import Case

_ON = 'minictr exec --bind "$DIRECTORY:/data" --bind /usr:/data/host "$IMAGE" true'
_CLOSED = 'install -d -m 0600 -o "$USER" "$IMAGE/closed"; '
_AS_USER = 'runuser -u "$USER" -- '
_WORK = 'minictr exec --contain --workdir "$DIRECTORY" "$IMAGE" true'

CASES = [
    Case(
        "MC0430",
        proof=(
            "/data/image cannot be made: the bind on /data is read-only",
            "in the container): ST_RDONLY",
        ),
        fix=("mkdir -p {directory}/image",),
        repaired="""eval "$USER_FIX" && minictr exec --bind "$DIRECTORY:/data:ro" \\
            --bind "$IMAGE:/data/image" "$IMAGE" true""",
        near=_ON,
    ),
    Case(
        "MC0430",
        name="file",
        script="""minictr exec --bind "$DIRECTORY:/data:ro" \\
            --bind /etc/passwd:/data/etc/passwd "$IMAGE" true""",
        proof=("/data/etc/passwd cannot be made",),
        fix=("mkdir -p {directory}/etc && touch {directory}/etc/passwd",),
        repaired="""eval "$USER_FIX" && minictr exec --bind "$DIRECTORY:/data:ro" \\
            --bind /etc/passwd:/data/etc/passwd "$IMAGE" true""",
        near='minictr exec --bind "$DIRECTORY:/data:ro" --bind /usr/no:/data/no "$IMAGE" true',
        instead="MC0401",
    ),
    Case(
        "MC0430",
        name="link",  # out of what is bound, into the container's root
        script=f'ln -s /nowhere/host "$DIRECTORY/host"; {_ON}',
        proof=("/ is mounted read-only", "in the container /data/host leads to /nowhere/host"),
        fix=("the path that /data/host leads to: /nowhere/host.",),
        repaired="""ln -s /nowhere/host "$DIRECTORY/host"; minictr exec \\
            --bind "$DIRECTORY:/data" --bind /usr:/nowhere/host "$IMAGE" test -d /data/host/bin""",
        near=f'ln -s /data/nowhere "$DIRECTORY/host"; {_ON}',
    ),
    Case(
        "MC0430",
        name="self",  # a link that the launcher, in another PID namespace, cannot follow
        script="""ln -s /proc/self/exe "$IMAGE/link"
            minictr exec --bind /etc/passwd:/link "$IMAGE" true""",
        proof=("/proc/self/exe cannot be made: /", "mounted read-only", ", by way of /proc/self"),
        fix=("Bind /etc/passwd at a path that no symbolic link leads away from.",),
        repaired="""ln -s /proc/self/exe "$IMAGE/link"
            minictr exec --bind /etc/passwd:/other "$IMAGE" true""",
        near='ln -s /bin/sh "$IMAGE/link"; minictr exec --bind "$IMAGE/bin/sh:/link" "$IMAGE" true',
    ),
    Case(
        "MC0430",
        name="workdir",
        script=f'mount -t tmpfs -o ro,mode=0777 none "$DIRECTORY"; {_AS_USER}{_WORK}',
        proof=("{directory}/tmp cannot be made: {directory} is mounted read-only",),
        fix=("Give --workdir a directory that {user} may write to.",),
        repaired=f'mount -t tmpfs -o mode=0777 none "$DIRECTORY"; {_AS_USER}{_WORK}',
        near=f'chown root "$DIRECTORY"; {_AS_USER}{_WORK}',
        instead="MC0431",
        as_root=True,
    ),
    Case(
        "MC0431",
        proof=(
            "/data/mine cannot be made: /data in the container is not {user}'s to write to",
            "owner root (0), group root (0), mode 0755; the caller is {user} ({uid})",
        ),
        fix=("Bind {directory} at a path outside of /data.", "mkdir -p /usr/mine"),
        repaired='minictr exec --bind /usr:/data --bind "$DIRECTORY:/mine" "$IMAGE" true',
        # A directory of the caller's own, which denies writing: the container's root may.
        near=f'chmod 0555 "$DIRECTORY"; {_ON}',
    ),
    Case(
        "MC0431",
        name="dev",
        script='minictr exec --scratch /dev/mine "$IMAGE" true',
        proof=("/dev/mine cannot be made: /dev in the container is not {user}'s to write to",),
        fix=("Ask for it at a path outside of /dev.", "mkdir -p /dev/mine"),
        repaired='minictr exec --scratch /mine "$IMAGE" true',
        near='minictr exec --contain --scratch /dev/mine "$IMAGE" true',
    ),
    Case(
        "MC0431",
        name="workdir",
        script=f'chmod 0555 "$DIRECTORY"; {_WORK}',
        proof=("{directory}/tmp cannot be made", "mode 0555"),
        fix=("chmod u+wx {directory}",),
        repaired=f'chmod 0555 "$DIRECTORY"; eval "$USER_FIX"; {_WORK}',
        near=f'chmod 0755 "$DIRECTORY"; {_WORK}',
    ),
    Case(
        "MC0432",
        proof=("/proc/data cannot be made: /proc is the kernel's own proc", "- proc proc rw"),
        fix=("Bind {directory} at a path outside of /proc.",),
        repaired='minictr exec --bind "$DIRECTORY:/data" "$IMAGE" true',
        near='minictr exec --bind /dev/null:/proc/uptime "$IMAGE" true',
    ),
    Case(
        "MC0432",
        name="sys",
        script='minictr exec --bind "$DIRECTORY:/sys/data/deeper" "$IMAGE" true',
        proof=("/sys/data/deeper cannot be made", "- sysfs "),
        repaired='minictr exec --bind "$DIRECTORY:/sys/kernel" "$IMAGE" true',
        near='minictr exec --bind "$DIRECTORY:/dev/data" "$IMAGE" true',
        instead="MC0431",
    ),
    Case(
        "MC0433",
        proof=("bin/busybox): not a directory",),
        repaired='minictr exec --bind "$DIRECTORY:/bin/data" "$IMAGE" true',
        near='minictr exec --bind "$DIRECTORY:/opt/busybox/data" "$IMAGE" true',
    ),
    Case(
        "MC0433",
        name="bound",
        script="""minictr exec --bind /etc/passwd:/data --bind "$DIRECTORY:/data/mine" \\
            "$IMAGE" true""",
        proof=("/data/mine lies below /data, which is a file", "owner root (0)"),
        fix=("Choose a path that is not below /data.",),
        repaired="""minictr exec --bind /etc/passwd:/data --bind "$DIRECTORY:/mine" \\
            "$IMAGE" true""",
        near=_ON,
    ),
    Case(
        "MC0433",
        name="workdir",
        script='minictr exec --contain --workdir /etc/passwd "$IMAGE" true',
        proof=("/etc/passwd/tmp lies below /etc/passwd, which is a file",),
        repaired=_WORK,
        near='echo text >"$DIRECTORY/tmp"; ' + _WORK,
        instead="MC0403",
    ),
    Case(
        "MC0434",
        proof=("the file system of {directory} has no inodes left", "f_favail is 0 of 1"),
        fix=("Bind /usr at a path outside of /data.",),
        repaired=f'mount -t tmpfs -o nr_inodes=9,mode=0777 none "$DIRECTORY"; {_AS_USER}{_ON}',
        near="""mount -t tmpfs -o nr_inodes=2,mode=0777 none "$DIRECTORY"; mkdir "$DIRECTORY/host"
            """
        + _AS_USER
        + _ON,
    ),
    Case(
        "MC0435",
        proof=("/bin/busybox is a file in the container", "stat(/bin/busybox) in the container"),
        repaired='minictr exec --scratch /opt/busybox "$IMAGE" true',
        near='mkdir -p "$IMAGE/opt/busybox"; minictr exec --scratch /opt/busybox "$IMAGE" true',
    ),
    Case(
        "MC0436",
        proof=(
            "/data/closed in the container denies search, so /data/closed/host cannot be reached",
            "owner root (0), group root (0), mode 0700; the caller is {user} ({uid})",
        ),
        fix=("Choose a path outside of /data/closed.",),
        repaired='mkdir -m 0700 "$DIRECTORY/closed"; ' + _AS_USER + _ON,
        # The container's root passes through what is the caller's own.
        near="""mkdir -m 0100 "$DIRECTORY/closed"; chown "$USER:" "$DIRECTORY/closed"
            runuser -u "$USER" -- minictr exec --bind "$DIRECTORY:/data" \\
                --bind /usr:/data/closed/host "$IMAGE" true""",
    ),
    Case(
        "MC0436",
        name="image",
        script=_CLOSED
        + 'runuser -u "$USER" -- minictr exec --bind /usr:/closed/host "$IMAGE" true',
        proof=("{image}/closed: Permission denied",),
        fix=("chmod u+x {image}/closed",),
        repaired=_CLOSED
        + """runuser -u "$USER" -- sh -ec '
            eval "$USER_FIX"; minictr exec --bind /usr:/closed/host "$IMAGE" true'""",
        near=_CLOSED + 'runuser -u "$USER" -- minictr exec --bind /usr:/closed "$IMAGE" true',
    ),
    Case(
        "MC0436",
        name="workdir",
        script='mkdir -m 0700 "$DIRECTORY/closed"; runuser -u "$USER" -- '
        'minictr exec --contain --workdir "$DIRECTORY/closed" "$IMAGE" true',
        as_root=True,
        proof=("{directory}/closed denies search", "mode 0700; the caller is {user} ({uid})"),
        fix=("Choose a path outside of {directory}/closed.",),
        repaired='mkdir -m 0700 "$DIRECTORY/closed"; runuser -u "$USER" -- '
        'minictr exec --contain --workdir "$DIRECTORY" "$IMAGE" true',
        near='mkdir -m 0755 "$DIRECTORY/closed"; runuser -u "$USER" -- '
        'minictr exec --contain --workdir "$DIRECTORY/closed" "$IMAGE" true',
        instead="MC0431",
    ),
]
