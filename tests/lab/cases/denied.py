"""Faults of files and directories that deny execution."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import LIBRARIES

NOEXEC = """unshare --user --map-current-user --keep-caps --mount sh -ec '
    mount -t tmpfs -o noexec none /mnt; cp "$IMAGE/bin/busybox" /mnt/true; chmod 755 /mnt/true"""
GREET = """printf "#!/mnt/sh -e\\n" >/mnt/greet; chmod +x /mnt/greet; ln -s true /mnt/sh"""
# Every mount point, so that the image is bound as it is: an overlay would not hand noexec on.
POINTS = """(cd "$IMAGE"; mkdir -p dev proc sys tmp var/tmp etc "./$HOME"
    touch etc/hosts etc/localtime etc/resolv.conf etc/passwd etc/group)"""
CHANGED = """cd /; export MINICTR_CACHEDIR=/mnt/cache
    minictr exec --id-map single "$SIF" true 2>"$DIRECTORY/first" || [ $? = 126 ]
    chmod -x /mnt/cache/trees/*/root/bin/busybox"""
LOADER = """for file in $(ldd /bin/true | grep -o '/[^ ]*/ld-[^ ]*'); do
    mkdir -p "$IMAGE${file%/*}"; cp "$file" "$IMAGE$file"; done"""

CASES = [
    Case(
        "MC0615",
        status=126,
        proof=("{directory}/true is open for writing by sleep (pid ", "/fd/9 of sleep is "),
        fix=("tail --pid=", "minictr exec --bind {directory} {image} {directory}/true"),
        repaired="""cp "$IMAGE/bin/busybox" "$DIRECTORY/true"; eval "$USER_FIX" """,
        # Open for reading only.
        near="""cp "$IMAGE/bin/busybox" "$DIRECTORY/true"
            minictr exec --bind "$DIRECTORY" "$IMAGE" "$DIRECTORY/true" 9<"$DIRECTORY/true" """,
    ),
    Case(
        "MC0615",
        name="caller",
        status=126,
        script="""cp "$IMAGE/bin/busybox" "$DIRECTORY/true"
            minictr exec --bind "$DIRECTORY" "$IMAGE" "$DIRECTORY/true" 9>>"$DIRECTORY/true" """,
        proof=("{directory}/true is open for writing by ",),
        fix=("Close {directory}/true before minictr is started",),
        repaired="""cp "$IMAGE/bin/busybox" "$DIRECTORY/true"
            minictr exec --bind "$DIRECTORY" "$IMAGE" "$DIRECTORY/true" """,
        near="""cp "$IMAGE/bin/busybox" "$DIRECTORY/true"
            minictr exec --bind "$DIRECTORY" "$IMAGE" "$DIRECTORY/true" 9>>"$DIRECTORY/other" """,
    ),
    Case(
        "MC0618",
        status=126,
        proof=("/closed denies search", "mode 0600", "the caller is {user} ({uid})"),
        fix=("chmod u+x {image}/closed",),
        repaired="""mkdir "$IMAGE/closed"; cp "$IMAGE/bin/busybox" "$IMAGE/closed/true"
            chmod 0600 "$IMAGE/closed"; eval "$USER_FIX" && minictr exec "$IMAGE" /closed/true""",
        near="""mkdir "$IMAGE/closed"; cp "$IMAGE/bin/busybox" "$IMAGE/closed/true"
            chmod 0711 "$IMAGE/closed"; minictr exec "$IMAGE" /closed/true""",
    ),
    Case(
        "MC0618",
        name="search",
        status=126,
        script="""mkdir "$IMAGE/closed"; chmod 0600 "$IMAGE/closed"
            minictr exec --env PATH=/closed:/bin "$IMAGE" nosuch""",
        proof=("/closed denies search", "mode 0600"),
        fix=("chmod u+x {image}/closed",),
        repaired="""mkdir "$IMAGE/closed"; chmod 0600 "$IMAGE/closed"; eval "$USER_FIX"
            cp "$IMAGE/bin/busybox" "$IMAGE/closed/true"
            minictr exec --env PATH=/closed "$IMAGE" true""",
        near="""mkdir "$IMAGE/closed"; chmod 0600 "$IMAGE/closed"
            minictr exec --env PATH=/closed:/bin "$IMAGE" true""",
    ),
    Case(
        "MC0618",
        name="search-root",
        as_root=True,
        status=126,
        script="""mkdir -m 0700 "$DIRECTORY/closed"
            setpriv --reuid="$USER" --regid="$USER" --init-groups \
                minictr exec --bind "$DIRECTORY:/data" --env PATH=/data/closed:/bin \
                "$IMAGE" nosuch""",
        proof=("/data/closed denies search",),
        fix=("Take what lies in /data/closed out of PATH",),
        repaired="""mkdir -m 0700 "$DIRECTORY/closed"; test -z "$ADMINISTRATOR_FIX"
            setpriv --reuid="$USER" --regid="$USER" --init-groups \
                minictr exec --bind "$DIRECTORY:/data" --env PATH=/bin "$IMAGE" true""",
        near="""mkdir -m 0700 "$DIRECTORY/closed"
            setpriv --reuid="$USER" --regid="$USER" --init-groups \
                minictr exec --bind "$DIRECTORY:/data" --env PATH=/bin "$IMAGE" nosuch""",
        instead="MC0602",
    ),
    Case(
        "MC0618",
        name="root",
        as_root=True,
        status=126,
        script="""mkdir "$DIRECTORY/closed"; cp "$IMAGE/bin/busybox" "$DIRECTORY/closed/true"
            chmod 0700 "$DIRECTORY/closed"; setpriv --reuid="$USER" --regid="$USER" --init-groups \
                minictr exec --bind "$DIRECTORY" "$IMAGE" "$DIRECTORY/closed/true" """,
        proof=("{directory}/closed denies search", "owner 0", "(root:root)"),
        fix=("setfacl -m u:{user}:x {directory}/closed",),
        repaired="""mkdir "$DIRECTORY/closed"; cp "$IMAGE/bin/busybox" "$DIRECTORY/closed/true"
            chmod 0700 "$DIRECTORY/closed"; eval "$ADMINISTRATOR_FIX"
            setpriv --reuid="$USER" --regid="$USER" --init-groups \
                minictr exec --bind "$DIRECTORY" "$IMAGE" "$DIRECTORY/closed/true" """,
        near="""mkdir "$DIRECTORY/open"; cp "$IMAGE/bin/busybox" "$DIRECTORY/open/true"
            chmod 0600 "$DIRECTORY/open/true"
            setpriv --reuid="$USER" --regid="$USER" --init-groups \
                minictr exec --bind "$DIRECTORY" "$IMAGE" "$DIRECTORY/open/true" """,
        instead="MC0606",
    ),
    Case(
        "MC0619",
        status=126,
        proof=("/mnt/true lies on a mount that denies execution: /mnt", "noexec"),
        fix=("cp /mnt/true ", "/true && minictr exec ", " --bind /mnt "),
        repaired=f"""{NOEXEC}; eval "$USER_FIX"; rm "$HOME/true"'""",
        near=f"""{NOEXEC}; mount -o remount,exec /mnt
            minictr exec --id-map single --bind /mnt "$IMAGE" /mnt/true'""",
    ),
    Case(
        "MC0619",
        name="script",
        status=126,
        script=f"""{NOEXEC}; printf "#!/bin/sh\\n" >/mnt/greet; chmod +x /mnt/greet
            minictr exec --id-map single --bind /mnt "$IMAGE" /mnt/greet one'""",
        proof=("/mnt/greet lies on a mount that denies execution",),
        fix=("/bin/sh /mnt/greet one",),
        repaired=f"""{NOEXEC}; printf "#!/bin/sh\\n" >/mnt/greet; chmod +x /mnt/greet
            eval "$USER_FIX"'""",
        near=f"""{NOEXEC}; printf "#!/bin/sh\\n" >/mnt/greet
            minictr exec --id-map single --bind /mnt "$IMAGE" /bin/sh /mnt/greet'""",
    ),
    Case(
        "MC0619",
        name="search",
        status=126,
        script=f"""{NOEXEC}
            minictr exec --id-map single --bind /mnt --env PATH=/mnt "$IMAGE" true'""",
        proof=("/mnt/true lies on a mount that denies execution",),
        repaired='minictr exec "$IMAGE" true',
        near=f"""{NOEXEC}
            minictr exec --id-map single --bind /mnt --env PATH=/mnt:/bin "$IMAGE" true'""",
    ),
    Case(
        "MC0619",
        name="contain",  # where the caller's home is not seen inside
        status=126,
        script=f"""{NOEXEC}
            minictr exec --id-map single --contain --bind /mnt "$IMAGE" /mnt/true'""",
        proof=("/mnt/true lies on a mount that denies execution: /mnt",),
        fix=("cp /mnt/true ", " && minictr exec --bind ", "/true --id-map single --contain "),
        repaired=f"""{NOEXEC}; eval "$USER_FIX"; rm "$HOME/true"'""",
        near=f"""{NOEXEC}; mount -o remount,exec /mnt
            minictr exec --id-map single --contain --bind /mnt "$IMAGE" /mnt/true'""",
    ),
    Case(
        "MC0619",
        name="interpreter",  # on the same mount as the script
        status=126,
        script=f"""{NOEXEC}; {GREET}
            minictr exec --id-map single --bind /mnt "$IMAGE" /mnt/greet one'""",
        proof=("/mnt/greet lies on a mount that denies execution",),
        fix=("cp /mnt/true ", "/sh && minictr exec ", "/sh -e /mnt/greet one"),
        repaired=f"""{NOEXEC}; {GREET}
            eval "$USER_FIX"; rm "$HOME/sh"'""",
        near=f"""{NOEXEC}; {GREET}; mount -o remount,exec /mnt
            minictr exec --id-map single --bind /mnt "$IMAGE" /mnt/greet one'""",
    ),
    Case(
        "MC0619",
        name="cache",  # that the image is unpacked in
        status=126,
        script=f"""{NOEXEC}; cd /; export MINICTR_CACHEDIR=/mnt/cache
            minictr exec --id-map single "$SIF" true'""",
        proof=("/bin/busybox lies on a mount that denies execution: /",),
        fix=("export MINICTR_CACHEDIR=/var/tmp/minictr-{user}",),
        repaired=f"""{NOEXEC}; cd /; export MINICTR_CACHEDIR=/mnt/cache; eval "$USER_FIX"
            minictr exec --id-map single "$SIF" true; minictr cache clean --all
            rm -r "$MINICTR_CACHEDIR"'""",
        near=f"""{NOEXEC}; cd /; export MINICTR_CACHEDIR=/mnt/cache; mount -o remount,exec /mnt
            minictr exec --id-map single "$SIF" true'""",
    ),
    Case(
        "MC0619",
        name="changed",  # a file of that cache was changed as well
        status=126,
        script=f"""{NOEXEC}; {CHANGED}
            minictr exec --id-map single "$SIF" /.singularity.d/runscript'""",
        proof=("/.singularity.d/runscript lies on a mount that denies execution: /",),
        fix=("export MINICTR_CACHEDIR=/var/tmp/minictr-{user}",),
        repaired=f"""{NOEXEC}; {CHANGED}; eval "$USER_FIX"
            minictr exec --id-map single "$SIF" /.singularity.d/runscript; minictr cache clean --all
            rm -r "$MINICTR_CACHEDIR"'""",
        near=f"""{NOEXEC}; {CHANGED}; mount -o remount,exec /mnt
            minictr exec --id-map single "$SIF" /.singularity.d/runscript'""",
        instead="MC0142",
    ),
    Case(
        "MC0619",
        name="directory",
        status=126,
        script=f"""{NOEXEC}; {POINTS}; cp -r "$IMAGE" /mnt/image; cd /
            minictr exec --id-map single --contain /mnt/image true'""",
        proof=("/bin/busybox lies on a mount that denies execution: /",),
        fix=("Copy the image /mnt/image to a directory whose mount allows execution.",),
        repaired=f"""{NOEXEC}; {POINTS}; cd /
            minictr exec --id-map single --contain "$IMAGE" true'""",
        near=f"""{NOEXEC}; {POINTS}; cp -r "$IMAGE" /mnt/image; mount -o remount,exec /mnt; cd /
            minictr exec --id-map single --contain /mnt/image true'""",
    ),
    Case(
        "MC0620",
        status=126,
        proof=("/bin/fifo is a FIFO", "stat(/bin/fifo) in the container"),
        fix=("Give the path of a program.",),
        repaired='minictr exec "$IMAGE" /bin/true',
        near='mkfifo "$IMAGE/bin/fifo"; minictr exec "$IMAGE" test -p /bin/fifo',
    ),
    Case(
        "MC0621",
        status=126,
        proof=("/sh, the interpreter of the script /bin/greet, is not executable", "mode 0644"),
        fix=("chmod u+x {image}/sh",),
        repaired="""cp "$IMAGE/bin/busybox" "$IMAGE/sh"; chmod 0644 "$IMAGE/sh"
            printf '#!/sh\\n' >"$IMAGE/bin/greet"; chmod 0755 "$IMAGE/bin/greet"
            eval "$USER_FIX" && minictr exec "$IMAGE" greet""",
        near="""cp "$IMAGE/bin/busybox" "$IMAGE/sh"
            printf '#!/sh\\n' >"$IMAGE/greet"; chmod 0644 "$IMAGE/greet"
            minictr exec "$IMAGE" /greet""",
        instead="MC0606",
    ),
    Case(
        "MC0621",
        name="directory",
        status=126,
        script="""mkdir "$IMAGE/dir"; printf '#!/dir\\n' >"$IMAGE/bin/greet"
            chmod 0755 "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet""",
        proof=("/dir, the interpreter of the script /bin/greet, is a directory",),
        fix=("Name a program in the first line of /bin/greet.",),
        repaired="""printf '#!/bin/sh\\n' >"$IMAGE/bin/greet"
            chmod 0755 "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet""",
        near='mkdir "$IMAGE/dir"; minictr exec "$IMAGE" /dir',
        instead="MC0605",
    ),
    Case(
        "MC0622",
        status=126,
        proof=("the ELF interpreter of the program /bin/dynamic, is not executable", "mode 0644"),
        fix=("chmod u+x {image}/",),
        repaired=f"""cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}
            for file in $(ldd /bin/true | grep -o '/[^ ]*'); do chmod 0644 "$IMAGE$file"; done
            eval "$USER_FIX" && minictr exec "$IMAGE" dynamic""",
        near=f"""cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}
            for file in $(ldd /bin/true | grep -o '/[^ ]*'); do chmod 0644 "$IMAGE$file"; done
            {LOADER}; chmod 0644 "$IMAGE/bin/dynamic"; minictr exec "$IMAGE" /bin/dynamic""",
        instead="MC0606",
    ),
]
