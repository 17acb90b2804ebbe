"""Trees in the cache of which something was taken away, while their images are whole."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import LIBRARIES

UNPACKED = """export MINICTR_CACHEDIR="$DIRECTORY/cache"
    minictr exec "$SIF" true 2>"$DIRECTORY/first"; cd "$DIRECTORY"/cache/trees/*/root"""
TRUE = 'minictr exec "$SIF" true'
HEALED = 'eval "$USER_FIX" >"$DIRECTORY/healed"'

BUILT = """minictr build "$DIRECTORY/out.sif" "$IMAGE" 2>"$DIRECTORY/built"
    export MINICTR_CACHEDIR="$DIRECTORY/cache" """
# An image file with a dynamically linked program, and a script that env begins.
DYNAMIC = f"""{LIBRARIES}; cp /bin/true "$IMAGE/bin/dynamic"; mkdir -p "$IMAGE/usr/bin"
    ln -s ../../bin/busybox "$IMAGE/usr/bin/env"; cp /bin/true "$IMAGE/bin/language"
    printf '#!/usr/bin/env language\\n' >"$IMAGE/bin/script"; chmod +x "$IMAGE/bin/script"
    {BUILT}"""
RUN = 'minictr exec "$DIRECTORY/out.sif"'
ENTERED = f"""{DYNAMIC}; {RUN} dynamic 2>"$DIRECTORY/first"; {RUN} script
    cd "$DIRECTORY"/cache/trees/*/root"""


def of_sif(name: str, away: str, said: str, near: str, instead: str = "") -> Case:
    """A small tree of which something is taken away."""
    return Case(
        "MC0142",
        name=name,
        script=f"{UNPACKED}; {away}; {TRUE}",
        proof=(said,),
        fix=("minictr cache clean ",),
        repaired=f"{UNPACKED}; {away}; cd /; {HEALED}; {TRUE}",
        near=f"{UNPACKED}; {near}",
        instead=instead,
        status=127 if "rm" in away and "root" not in name else 125,
    )


def of_libraries(
    name: str, away: str, said: str, command: str, near: str, instead: str, status: int = 127
) -> Case:
    """A tree of which something is taken away that a program needs; near it, the image lacks it."""
    return Case(
        "MC0142",
        name=name,
        script=f"{ENTERED}; {away}; {RUN} {command}",
        proof=(said,),
        fix=("minictr cache clean ",),
        # An image that is built again is another one, and so has its tree another name.
        repaired=f"""{ENTERED}; {away}; cd /
            USER_FIX=$({RUN} {command} 2>&1 | grep -o 'minictr cache clean [0-9a-f]*')
            {HEALED}; {RUN} {command}""",
        near=f"{LIBRARIES}; {near}; {BUILT}; {RUN} {command}",
        instead=instead,
        status=status,
    )


SCRIPTS_OF_LANGUAGE = """cd "$IMAGE/bin"; printf '#!/bin/language\\n' >direct
    cp direct plain; chmod +x direct; cd /"""
# An image with a test, and a script that needs the image's shell.
SCRIPTED = """mkdir -p "$IMAGE/.singularity.d/env"; cd "$IMAGE/.singularity.d"
    printf 'A=$(echo 1)\\nexport A\\n' >env/90-environment.sh; chmod 0755 . env
    printf '#!/bin/sh\\n' >test; chmod +x test; cp test runscript; cd /"""
ASKED = """minictr exec "$DIRECTORY/out.sif" sh -c '[ "$A" = 1 ]'"""
KEPT = f"""{SCRIPTED}; {BUILT}; {ASKED} 2>"$DIRECTORY/first"
    cd "$DIRECTORY"/cache/trees/*/root/.singularity.d"""


def of_scripts(name: str, away: str, command: str, said: str, status: int = 125) -> Case:
    """A tree without a script that its image has; near it, an image that has none."""
    return Case(
        "MC0142",
        name=name,
        script=f"{KEPT}; {away}; {command}",
        proof=(said,),
        fix=("minictr cache clean ",),
        repaired=f"""{KEPT}; {away}; cd /
            USER_FIX=$({command} 2>&1 | grep -o 'minictr cache clean [0-9a-f]*')
            {HEALED}; {command}""",
        near=f"""{SCRIPTED}; cd "$IMAGE/.singularity.d"; {away}; cd /; {BUILT}
            minictr exec "$DIRECTORY/out.sif" true 2>"$DIRECTORY/first"
            minictr {"test" if name == "test" else "run"} "$DIRECTORY/out.sif" </dev/null""",
        status=status,
    )


PROGRAM = """cp /bin/true "$IMAGE/bin/dynamic" """
CASES = [
    Case(
        "MC0142",
        status=127,
        proof=("bin/busybox of the", "/root/bin/busybox): ENOENT; it was a file"),
        fix=("minictr cache clean ",),
        repaired=f"{UNPACKED}; rm bin/busybox; cd /; {HEALED}; {TRUE}",
        # What the image lacks as well is not in the tree for that reason.
        near=f'{UNPACKED}; rm bin/busybox; minictr exec "$SIF" nosuch',
        instead="MC0602",
    ),
    of_sif(
        "program",
        "rm bin/true",
        "/root/bin/true): ENOENT; it was a symbolic link",
        'rm bin/true; mkdir "$DIRECTORY/data"; minictr exec -B "$DIRECTORY/data:/bin" "$SIF" true',
        "MC0602",
    ),
    of_sif(
        "directory",
        "rm -r bin",
        "/root/bin): ENOENT; it was a directory",
        'rm -r bin; minictr exec "$SIF" nosuch',
        "MC0602",
    ),
    Case(
        "MC0142",
        name="closed",
        status=126,
        script=f"{UNPACKED}; chmod 0 bin; {TRUE}",
        proof=("/root/bin): mode 0000; it was 0755",),
        fix=("minictr cache clean ",),
        repaired=f"{UNPACKED}; chmod 0 bin; cd /; {HEALED}; {TRUE}",
        near=f"{UNPACKED}; chmod 0 etc; {TRUE}",
    ),
    Case(
        "MC0142",
        name="cut",
        status=126,
        script=f"{UNPACKED}; : >bin/busybox; {TRUE}",
        proof=("/root/bin/busybox): 0 bytes; it had ",),
        fix=("minictr cache clean ",),
        repaired=f"{UNPACKED}; : >bin/busybox; cd /; {HEALED}; {TRUE}",
        near=f"{UNPACKED}; touch bin/busybox; {TRUE}",
    ),
    Case(
        "MC0142",
        name="unread",
        status=126,
        script=f"{UNPACKED}; : >bin/busybox; {TRUE}",
        proof=("/root/bin/busybox): 0 bytes; it had ",),
        fix=("minictr cache clean ",),
        repaired=f"{UNPACKED}; : >bin/busybox; cd /; {HEALED}; {TRUE}",
        # It was changed, too, and can be executed; a variable is what is too long.
        near=f"""{UNPACKED}; chmod u-r bin/busybox
            printf 'LONG=%s\\n' "$(head -c 140000 /dev/zero | tr '\\0' x)" >"$DIRECTORY/variables"
            minictr exec --env-file "$DIRECTORY/variables" "$SIF" true""",
        instead="MC0612",
    ),
    of_sif(
        "root",
        'cd /; rm -r "$DIRECTORY"/cache/trees/*/root',
        "/root): ENOENT; it was a directory",
        f'cd /; rm -r "$DIRECTORY"/cache/trees/*/root; minictr cache clean; {TRUE}',
    ),
    Case(
        "MC0142",
        name="replaced",
        script=f"{UNPACKED}; cd ..; rm -r root; ln -s / root; {TRUE}",
        proof=("/root): a symbolic link; it was a directory",),
        fix=("minictr cache clean ",),
        repaired=f"{UNPACKED}; cd ..; rm -r root; ln -s / root; cd /; {HEALED}; {TRUE}",
        # The tree is whole, and a mount point is missing in what is mounted read-only.
        near=f"""{UNPACKED}; mkdir "$DIRECTORY/data"
            minictr exec -B "$DIRECTORY/data:/data:ro" -B /etc:/data/etc "$SIF" true""",
        instead="MC0430",
    ),
    Case(
        "MC0142",
        name="shell",
        script=f'{UNPACKED}; chmod 0 .; minictr shell "$SIF"',
        proof=("/root): mode 0000; it was 0755",),
        fix=("minictr cache clean ",),
        repaired=f"{UNPACKED}; chmod 0 .; cd /; {HEALED}; {TRUE}",
        near=f"{UNPACKED}; chmod 0500 .; {TRUE}",
    ),
    of_libraries(
        "loader",
        "find . -name 'ld-*' -delete",
        "ENOENT; it was a file",
        "dynamic",
        f"{PROGRAM}; find \"$IMAGE\" -name 'ld-*' -delete",
        "MC0609",
    ),
    of_libraries(
        "library",
        "find . -name libc.so.6 -delete",
        "libc.so.6): ENOENT; it was a file",
        "dynamic",
        f'{PROGRAM}; find "$IMAGE" -name libc.so.6 -delete',
        "MC0640",
    ),
    of_libraries(  # the program begins, and dies
        "shortened",
        "truncate -s 100000 $(find . -name libc.so.6)",
        "libc.so.6): 100000 bytes; it had ",
        "dynamic",
        f'{PROGRAM}; truncate -s 100000 "$(find "$IMAGE" -name libc.so.6)"',
        "MC0647",
        status=135,
    ),
    Case(
        "MC0142",
        name="halved",
        status=139,
        script=f"{UNPACKED}; truncate -s 1000000 bin/busybox; {TRUE}",
        proof=("/root/bin/busybox): 1000000 bytes; it had ",),
        fix=("minictr cache clean ",),
        repaired=f"{UNPACKED}; truncate -s 1000000 bin/busybox; cd /; {HEALED}; {TRUE}",
        # Another file is cut short, and the program ends itself.
        near=f"""{UNPACKED}; truncate -s 1 etc/passwd
            minictr exec "$SIF" sh -c 'kill -SEGV $$' || [ $? = 139 ]""",
    ),
    of_libraries(
        "script",
        "rm bin/language",
        "/root/bin/language): ENOENT; it was a file",
        "script",
        """mkdir -p "$IMAGE/usr/bin"; ln -s ../../bin/busybox "$IMAGE/usr/bin/env"
            printf '#!/usr/bin/env language\\n' >"$IMAGE/bin/script"
            chmod +x "$IMAGE/bin/script" """,
        "MC0642",
    ),
    of_scripts(
        "runscript",
        "rm runscript",
        'minictr run "$DIRECTORY/out.sif"',
        "/.singularity.d/runscript): ENOENT; it was a file",
        127,
    ),
    of_scripts(
        "test",
        "rm test",
        'minictr test "$DIRECTORY/out.sif"',
        "/.singularity.d/test): ENOENT; it was a file",
    ),
    of_scripts(
        "environment",
        "rm env/90-environment.sh",
        ASKED,
        "/.singularity.d/env/90-environment.sh): ENOENT; it was a file",
    ),
    Case(
        "MC0142",
        name="interpreter",
        prepare=SCRIPTS_OF_LANGUAGE,
        status=126,
        script=f"{ENTERED}; chmod -x bin/language; {RUN} /bin/direct",
        proof=("/root/bin/language): mode 0644; it was 0755",),
        fix=("minictr cache clean ",),
        repaired=f"""{ENTERED}; chmod -x bin/language; cd /
            USER_FIX=$({RUN} /bin/direct 2>&1 | grep -o 'minictr cache clean [0-9a-f]*')
            {HEALED}; {RUN} /bin/direct""",
        # It was changed, too, and the kernel did not come to it: the script may not be executed.
        near=f"{ENTERED}; chmod -x bin/language; {RUN} /bin/plain",
        instead="MC0606",
    ),
]
