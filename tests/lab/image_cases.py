"""Faults of the root file system and of the command."""

from __future__ import annotations

from lab.bench import Case

# The loader and the libraries of the host's /bin/true, for an image that lacks them.
LIBRARIES = """for file in $(ldd /bin/true | grep -o '/[^ ]*'); do
    mkdir -p "$IMAGE${file%/*}" && cp "$file" "$IMAGE$file"
done"""

ROOT_FILE_SYSTEM = [
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

COMMANDS = [
    Case(
        "MC0601",
        proof=("/bin/tool is a symbolic link to /opt/tool/bin/tool", "/ has no entry opt"),
        fix=("/opt/tool/bin/tool",),
        repaired="""mkdir -p "$IMAGE/opt/tool/bin"; ln -s /opt/tool/bin/tool "$IMAGE/bin/tool"
            printf '#!/bin/sh\\n' >"$IMAGE/opt/tool/bin/tool"
            chmod +x "$IMAGE/opt/tool/bin/tool"; minictr exec "$IMAGE" tool""",
        near='minictr exec "$IMAGE" nosuch',
        instead="MC0602",
    ),
    Case(
        "MC0602",
        proof=("has a program nosuch", "PATH is /usr/local/sbin:"),
        fix=("Use an image that has nosuch",),
        repaired="""printf '#!/bin/sh\\n' >"$IMAGE/bin/nosuch"; chmod +x "$IMAGE/bin/nosuch"
            minictr exec "$IMAGE" nosuch""",
        near="""printf '#!/bin/sh\\n' >"$IMAGE/bin/nosuch"; chmod 0644 "$IMAGE/bin/nosuch"
            minictr exec "$IMAGE" nosuch""",
        instead="MC0606",
    ),
    Case(
        "MC0602",
        name="beside",
        prepare="""mkdir -p "$IMAGE/opt/conda/bin"
            printf '#!/bin/sh\\n' >"$IMAGE/opt/conda/bin/there"
            chmod +x "$IMAGE/opt/conda/bin/there" """,
        script='minictr exec "$IMAGE" there',
        proof=("has a program there",),
        fix=("minictr exec {image} /opt/conda/bin/there",),
        repaired='eval "$USER_FIX"',
        near='minictr exec --env PATH=/opt/conda/bin "$IMAGE" there',
    ),
    Case(
        "MC0603",
        proof=("{directory}/script is a file of the host", "is not bound"),
        fix=("minictr exec --bind {directory} ",),
        repaired="""printf '#!/bin/sh\\n' >"$DIRECTORY/script"; chmod +x "$DIRECTORY/script"
            eval "$USER_FIX" """,
        near='minictr exec --no-mount tmp --bind "$DIRECTORY" "$IMAGE" "$DIRECTORY/script"',
        instead="MC0604",
    ),
    Case(
        "MC0603",
        name="loader",
        script="""cp /bin/true "$DIRECTORY/program"
            minictr exec --no-mount tmp "$IMAGE" "$DIRECTORY/program" """,
        proof=("{directory}/program is a file of the host", "is not bound"),
        fix=("the host's needs /lib", "which is not inside either"),
        repaired='minictr exec "$IMAGE" true',
        near='cp /bin/true "$DIRECTORY/program"; minictr exec "$IMAGE" "$DIRECTORY/program"',
        instead="MC0609",
    ),
    Case(
        "MC0604",
        proof=("/usr/bin/nosuch does not exist in the container", "/ has no entry usr"),
        fix=("ls /`",),
        repaired='minictr exec "$IMAGE" /bin/true',
        near="""printf '#!/usr/bin/nosuch\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet"
            minictr exec "$IMAGE" /bin/greet""",
        instead="MC0608",
    ),
    Case(
        "MC0605",
        proof=("/bin is a directory",),
        fix=("minictr exec {image} ls /bin",),
        repaired='minictr exec "$IMAGE" ls /bin',
        near="""printf '#!/bin/sh\\n' >"$IMAGE/greet"; chmod 0644 "$IMAGE/greet"
            minictr exec "$IMAGE" /greet""",
        instead="MC0606",
    ),
    Case(
        "MC0606",
        proof=("/bin/greet is not executable by {user}", "mode 0644"),
        fix=("chmod u+x {image}/bin/greet", "minictr exec {image} /bin/sh /bin/greet"),
        repaired="""printf '#!/bin/sh\\n' >"$IMAGE/bin/greet"; chmod 0644 "$IMAGE/bin/greet"
            eval "$USER_FIX" && minictr exec "$IMAGE" greet""",
        # The same errno, because the interpreter is not executable.
        near="""printf '#!/interpreter\\n' >"$IMAGE/bin/greet"; chmod 0755 "$IMAGE/bin/greet"
            echo text >"$IMAGE/interpreter"; minictr exec "$IMAGE" greet""",
        instead="MC0000",
    ),
]

PROGRAMS = [
    Case(
        "MC0607",
        proof=("/bin/greet ends in a carriage return", "'#!/bin/sh\\r'"),
        fix=("sed -i", "{image}/bin/greet"),
        repaired="""printf '#!/bin/sh\\r\\necho ran\\r\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; eval "$USER_FIX" && minictr exec "$IMAGE" greet""",
        near="""printf '#!/bin/sh\\necho ran\\r\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet""",
    ),
    Case(
        "MC0608",
        proof=("/usr/bin/nosuch, the interpreter of the script /bin/greet, is missing",),
        fix=("Use an image that has /usr/bin/nosuch",),
        repaired="""printf '#!/usr/bin/nosuch\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet"
            mkdir -p "$IMAGE/usr/bin"; printf '#!/bin/sh\\n' >"$IMAGE/usr/bin/nosuch"
            chmod +x "$IMAGE/usr/bin/nosuch"; minictr exec "$IMAGE" greet""",
        near="""cp /bin/true "$IMAGE/dynamic"; printf '#!/dynamic\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet""",
        instead="MC0609",
    ),
    Case(
        "MC0608",
        name="elsewhere",
        script="""printf '#!/usr/local/bin/sh\\nexit 0\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet one""",
        proof=("/usr/local/bin/sh, the interpreter", "/ has no entry usr"),
        fix=("minictr exec {image} /bin/sh /bin/greet one",),
        repaired="""printf '#!/usr/local/bin/sh\\nexit 0\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; eval "$USER_FIX" """,
        near="""printf '#!/bin/sh\\nexit 0\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet one""",
    ),
    Case(
        "MC0609",
        proof=("the ELF interpreter of /bin/dynamic, is missing", "PT_INTERP"),
        fix=("statically linked",),
        repaired=f"""cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}
            minictr exec "$IMAGE" dynamic""",
        near='foreign-elf /bin/true "$IMAGE/bin/dynamic"; minictr exec "$IMAGE" dynamic',
        instead="MC0611",
    ),
    Case(
        "MC0610",
        proof=("/bin/short is truncated", "and the file has 100"),
        fix=("Copy /bin/short again",),
        repaired=f"""cp /bin/true "$IMAGE/bin/short"; {LIBRARIES}
            minictr exec "$IMAGE" short""",
        near='foreign-elf /bin/true "$IMAGE/bin/short"; minictr exec "$IMAGE" short',
        instead="MC0611",
    ),
    Case(
        "MC0611",
        proof=("/bin/foreign was built for ", "e_machine of /bin/foreign is ", "uname(2): "),
        fix=("Use a build of /bin/foreign for ",),
        repaired=f"""cp /bin/true "$IMAGE/bin/foreign"; {LIBRARIES}
            minictr exec "$IMAGE" foreign""",
        near="""printf 'exit 0\\n' >"$IMAGE/bin/foreign"; chmod +x "$IMAGE/bin/foreign"
            minictr exec "$IMAGE" foreign""",
    ),
    Case(
        "MC0611",
        name="interpreter",
        script="""foreign-elf /bin/true "$IMAGE/foreign"
            printf '#!/foreign\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet"
            minictr exec "$IMAGE" greet""",
        proof=("/foreign was built for ", "/bin/greet begins with #!/foreign"),
        repaired=f"""cp /bin/true "$IMAGE/foreign"; {LIBRARIES}
            printf '#!/foreign\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet"
            minictr exec "$IMAGE" greet""",
        near="""head -c 100 /bin/true >"$IMAGE/bin/short"; chmod +x "$IMAGE/bin/short"
            minictr exec "$IMAGE" short""",
        instead="MC0610",
    ),
]

UNKNOWN = [
    Case(
        "MC0000",
        proof=(),
        repaired='minictr exec --hostname inside "$IMAGE" true',
        near='filtered --refuse clone:user -- minictr exec --hostname inside "$IMAGE" true',
        instead="MC0204",
    ),
]
