"""Faults of the command: where it is looked for."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import AS_USER

# Everybody may execute it but the user, by an entry of its own.
LISTED = """mkdir "$IMAGE/other"; cp "$IMAGE/bin/busybox" "$IMAGE/other/true"
    chown root "$IMAGE/other/true"
    setfacl -m "u:$USER:r" "$IMAGE/other/true\""""
OTHER = f'{AS_USER} minictr exec "$IMAGE" /other/true'

CASES = [
    Case(
        "MC0601",
        status=127,
        proof=("/bin/tool is a symbolic link to /opt/tool/bin/tool", "/ has no entry opt"),
        fix=("/opt/tool/bin/tool",),
        repaired="""mkdir -p "$IMAGE/opt/tool/bin"; ln -s /opt/tool/bin/tool "$IMAGE/bin/tool"
            printf '#!/bin/sh\\n' >"$IMAGE/opt/tool/bin/tool"
            chmod +x "$IMAGE/opt/tool/bin/tool"; minictr exec "$IMAGE" tool""",
        near='minictr exec "$IMAGE" nosuch',
        instead="MC0602",
    ),
    Case(  # An image's name with a line's end in it makes no remedy of its own.
        "MC0601",
        name="lines",
        status=127,
        script="""ln -s "$(printf '/opt/tool\\nid')" "$IMAGE/bin/tool"
            minictr exec "$IMAGE" tool""",
        proof=("/bin/tool is a symbolic link to ",),
        fix=("or add '/opt/tool\\nid' to it.",),
        repaired="""test -z "$USER_FIX"; printf '#!/bin/sh\\n' >"$IMAGE/bin/tool"
            chmod +x "$IMAGE/bin/tool"; minictr exec "$IMAGE" tool""",
        near='minictr exec "$IMAGE" "$(printf \'tool\\nid\')"',
        instead="MC0602",
    ),
    Case(
        "MC0602",
        status=127,
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
        status=127,
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
        "MC0602",
        status=127,
        name="relative",  # to the working directory, not to /, which has a bin
        script='cd "$DIRECTORY"; minictr exec --env PATH=bin "$IMAGE" true',
        proof=("PATH is bin", "the working directory is {directory}"),
        fix=("minictr exec --env PATH=bin {image} /bin/true",),
        repaired='eval "$USER_FIX"',
        near='cd "$IMAGE"; minictr exec --env PATH=bin "$IMAGE" true',
    ),
    Case(
        "MC0602",
        status=127,
        name="covered",
        script='minictr exec --bind "$DIRECTORY:/bin" "$IMAGE" true',
        proof=("the image has /bin/true, and the bind of {directory} on /bin hides it",),
        fix=("Bind {directory} at another path than /bin, or leave that bind out.",),
        repaired='minictr exec --bind "$DIRECTORY:/data" "$IMAGE" true',
        near="""cp "$IMAGE/bin/busybox" "$DIRECTORY/true"
            minictr exec --bind "$DIRECTORY:/bin" "$IMAGE" true""",
    ),
    Case(
        "MC0602",
        status=127,
        name="covered-by-home",
        script='minictr exec --home "$DIRECTORY:/bin" "$IMAGE" true',
        proof=("the bind of {directory} on /bin hides",),
        fix=("Give --home another target than /bin.",),
        repaired='minictr exec --home "$DIRECTORY:/home" "$IMAGE" true',
        near='minictr exec --home "$DIRECTORY:/bin" --bind "$IMAGE/bin:/usr" "$IMAGE" /usr/true',
    ),
    Case(
        "MC0602",
        status=127,
        name="covered-by-scratch",
        script='minictr exec --scratch /bin "$IMAGE" true',
        proof=("an empty file system on /bin hides",),
        fix=("Name another directory than /bin for --scratch.",),
        repaired='minictr exec --scratch /data "$IMAGE" true',
        near="""mkdir -p "$IMAGE/usr/bin"; cp "$IMAGE/bin/busybox" "$IMAGE/usr/bin/true"
            minictr exec --scratch /bin "$IMAGE" true""",
    ),
    Case(
        "MC0603",
        status=127,
        proof=("{directory}/script is a file of the host", "is not bound"),
        fix=("minictr exec --bind {directory} ",),
        repaired="""printf '#!/bin/sh\\n' >"$DIRECTORY/script"; chmod +x "$DIRECTORY/script"
            eval "$USER_FIX" """,
        near='minictr exec --no-mount tmp --bind "$DIRECTORY" "$IMAGE" "$DIRECTORY/script"',
        instead="MC0604",
    ),
    Case(
        "MC0603",
        status=127,
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
        status=127,
        proof=("/usr/bin/nosuch does not exist in the container", "/ has no entry usr"),
        fix=("ls /`",),
        repaired='minictr exec "$IMAGE" /bin/true',
        near="""printf '#!/usr/bin/nosuch\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet"
            minictr exec "$IMAGE" /bin/greet""",
        instead="MC0608",
    ),
    Case(
        "MC0604",
        status=127,
        name="shell",
        script='minictr shell -es /nosuch "$IMAGE"',
        proof=("/nosuch does not exist in the container",),
        fix=("`minictr exec -e {image} ls /`",),
        repaired='minictr exec -e "$IMAGE" ls / && minictr shell -es /bin/sh "$IMAGE" </dev/null',
        near='minictr shell -es nosuch "$IMAGE"',
        instead="MC0602",
    ),
    Case(
        "MC0604",
        status=127,
        name="covered",
        script='minictr exec --bind "$DIRECTORY:/bin" "$IMAGE" /bin/true',
        proof=("the image has /bin/true, and the bind of {directory} on /bin hides it",),
        fix=("Bind {directory} at another path than /bin, or leave that bind out.",),
        repaired='minictr exec --bind "$DIRECTORY:/data" "$IMAGE" /bin/true',
        near="""cp "$IMAGE/bin/busybox" "$DIRECTORY/true"
            minictr exec --bind "$DIRECTORY:/bin" "$IMAGE" /bin/true""",
    ),
    Case(
        "MC0604",
        status=127,
        name="slash",
        script='minictr exec "$IMAGE" /bin/true/',
        proof=("/bin/true/ goes on behind /bin/busybox, which is a file",),
        fix=("minictr exec {image} /bin/true",),
        repaired='eval "$USER_FIX"',
        near='ln -s busybox/x "$IMAGE/bin/greet"; minictr exec "$IMAGE" /bin/greet',
        instead="MC0601",
    ),
    Case(
        "MC0602",
        status=127,
        name="file-in-path",
        script='minictr exec --env PATH=/bin/busybox:/bin "$IMAGE" nosuch',
        proof=("no directory of the container's PATH has a program nosuch",),
        repaired='minictr exec --env PATH=/bin/busybox:/bin "$IMAGE" true',
        near='mkdir "$IMAGE/bin/nosuch"; minictr exec --env PATH=/bin "$IMAGE" /bin/nosuch',
        instead="MC0605",
    ),
    Case(
        "MC0605",
        status=126,
        proof=("/bin is a directory",),
        fix=("minictr exec {image} ls /bin",),
        repaired='minictr exec "$IMAGE" ls /bin',
        near="""printf '#!/bin/sh\\n' >"$IMAGE/greet"; chmod 0644 "$IMAGE/greet"
            minictr exec "$IMAGE" /greet""",
        instead="MC0606",
    ),
    Case(
        "MC0606",
        status=126,
        proof=("/bin/greet is not executable by {user}", "mode 0644"),
        fix=("chmod u+x {image}/bin/greet", "minictr exec {image} /bin/sh /bin/greet"),
        repaired="""printf '#!/bin/sh\\n' >"$IMAGE/bin/greet"; chmod 0644 "$IMAGE/bin/greet"
            eval "$USER_FIX" && minictr exec "$IMAGE" greet""",
        # The same errno, because the interpreter is not executable.
        near="""printf '#!/interpreter\\n' >"$IMAGE/bin/greet"; chmod 0755 "$IMAGE/bin/greet"
            echo text >"$IMAGE/interpreter"; minictr exec "$IMAGE" greet""",
        instead="MC0621",
    ),
    Case(
        "MC0606",
        name="covered",
        status=126,
        script="""echo text >"$DIRECTORY/text"
            minictr exec --bind "$DIRECTORY/text:/bin/sh" "$IMAGE" sh""",
        proof=("the image has /bin/sh, and the bind of {directory}/text on /bin/busybox hides it",),
        fix=("Bind {directory}/text at another path than /bin/sh, or leave that bind out.",),
        repaired="""echo text >"$DIRECTORY/text"
            minictr exec --bind "$DIRECTORY/text:/bin/text" "$IMAGE" sh -c :""",
        near="""cp "$IMAGE/bin/busybox" "$DIRECTORY/sh"
            minictr exec --bind "$DIRECTORY/sh:/bin/sh" "$IMAGE" sh -c :""",
    ),
    Case(
        "MC0606",
        name="list",
        as_root=True,
        status=126,
        script=f"{LISTED}; {OTHER}",
        proof=("/other/true is not executable by {user}", "mode 0755"),
        fix=("setfacl -m u:{user}:rx {image}/other/true",),
        repaired=f'{LISTED}; eval "$ADMINISTRATOR_FIX"; {OTHER}',
        near=f'{LISTED}; setfacl -b "$IMAGE/other/true"; {OTHER}',
    ),
]
