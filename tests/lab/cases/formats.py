"""Faults of files that are no programs."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import LIBRARIES

OWN = """own() { printf "$2" >"$IMAGE/bin/$1"; chmod +x "$IMAGE/bin/$1"; }"""
BOUND = 'echo text >"$DIRECTORY/text"'
ON_SHELL = 'minictr exec --bind "$DIRECTORY/text:/bin/sh" "$IMAGE"'

CASES = [
    Case(
        "MC0623",
        status=126,
        proof=("/bin/empty is an empty file", "0 bytes"),
        fix=("Copy or build /bin/empty again.",),
        repaired=f"{OWN}; own empty '#!/bin/sh\\n'; minictr exec \"$IMAGE\" empty",
        near=f"{OWN}; own empty '\\n'; minictr exec \"$IMAGE\" empty",
    ),
    Case(
        "MC0623",
        name="interpreter",
        status=126,
        script=f"""{OWN}; own nothing ''; own greet '#!/bin/nothing\\n'
            minictr exec "$IMAGE" greet""",
        proof=("/bin/nothing is an empty file", "/bin/greet begins with #!/bin/nothing"),
        repaired=f"{OWN}; own greet '#!/bin/sh\\n'; minictr exec \"$IMAGE\" greet",
        near=f"{OWN}; own greet '#!/bin/nothing\\n'; minictr exec \"$IMAGE\" greet",
        instead="MC0608",
    ),
    Case(
        "MC0624",
        status=126,
        proof=("/bin/tool.exe is no program: a program for Windows", "'MZ"),
        fix=("the program that reads /bin/tool.exe",),
        repaired='minictr exec "$IMAGE" cat /bin/true',
        # A text, which /bin/sh is given.
        near=f"{OWN}; own tool.exe 'exit 0 MZ\\n'; minictr exec \"$IMAGE\" tool.exe",
    ),
    Case(
        "MC0624",
        name="shell",
        status=126,
        script=f'{BOUND}; chmod +x "$DIRECTORY/text"; {ON_SHELL} sh',
        proof=("the image has /bin/sh, and the bind of {directory}/text on /bin/busybox hides it",),
        fix=("Bind {directory}/text at another path than /bin/sh",),
        repaired=f'{BOUND}; minictr exec --bind "$DIRECTORY/text:/bin/text" "$IMAGE" sh -c :',
        # It is not executable, which comes first; and the same fix.
        near=f"{BOUND}; {ON_SHELL} sh",
        instead="MC0606",
    ),
    Case(
        "MC0624",
        name="archive",
        status=126,
        script="""echo text | gzip >"$IMAGE/bin/data"; chmod +x "$IMAGE/bin/data"
            minictr exec "$IMAGE" data""",
        proof=("/bin/data is no program: compressed by gzip",),
        repaired='minictr exec "$IMAGE" true',
        near="""echo text | gzip >"$IMAGE/bin/data"; minictr exec "$IMAGE" data""",
        instead="MC0606",
    ),
    Case(
        "MC0624",
        name="interpreter",
        status=126,
        script=f"{OWN}; own words 'text\\n'; own greet '#!/bin/words\\n'; "
        'minictr exec "$IMAGE" greet',
        proof=("/bin/words is no program: a text without a #! line", "begins with #!/bin/words"),
        repaired=f"{OWN}; own words '#!/bin/sh\\n'; own greet '#!/bin/words\\n'; "
        'minictr exec "$IMAGE" greet',
        near=f"{OWN}; own words 'text\\n'; minictr exec \"$IMAGE\" sh -n /bin/words",
    ),
    Case(
        "MC0625",
        status=126,
        proof=("the interpreter's name has 301 bytes", "the kernel reads 255 bytes"),
        fix=("Shorten the first line of /bin/greet",),
        repaired=f"{OWN}; own greet '#!/bin/sh\\n'; minictr exec \"$IMAGE\" greet",
        # Only the arguments are cut off, which the kernel allows.
        near=f"{OWN}; own greet '#!/bin/true %0300d\\n'; minictr exec \"$IMAGE\" greet",
    ),
    Case(
        "MC0625",
        name="there",
        status=126,
        prepare=f"""{OWN}; d=$(printf %0100d 1); mkdir -p "$IMAGE/$d/$d/$d"
            cp "$IMAGE/bin/busybox" "$IMAGE/$d/$d/$d/sh"; own greet "#!/$d/$d/$d/sh\\n" """,
        script='minictr exec "$IMAGE" greet one',
        proof=("the interpreter's name has 306 bytes",),
        fix=("/sh /bin/greet one",),
        repaired='eval "$USER_FIX"',
        near=f"{OWN}; own greet '#!/%0252d\\n'; minictr exec \"$IMAGE\" greet",
        instead="MC0608",
    ),
    Case(
        "MC0626",
        status=126,
        proof=("the #! line of /bin/greet names no interpreter", "b'#! "),
        fix=("sed -i", "{image}/bin/greet"),
        repaired=f'{OWN}; own greet \'#! \\n\'; eval "$USER_FIX" && minictr exec "$IMAGE" greet',
        near=f"{OWN}; own greet '#! \\t/bin/sh\\n'; minictr exec \"$IMAGE\" greet",
    ),
    Case(
        "MC0626",
        name="runscript",
        status=126,
        prepare="""mkdir -p "$IMAGE/.singularity.d"
            printf '#! \\necho "<$*>" | grep "<one two>"\\n' >"$IMAGE/.singularity.d/runscript"
            chmod +x "$IMAGE/.singularity.d/runscript"
            minictr build --force "$DIRECTORY/own.sif" "$IMAGE" """,
        script='minictr run --no-home "$DIRECTORY/own.sif" one two',
        proof=("the #! line of /.singularity.d/runscript names no interpreter",),
        fix=("minictr exec --no-home ", "own.sif /bin/sh /.singularity.d/runscript one two"),
        repaired='eval "$USER_FIX"',
        near="""sed -i '1s|.*|#! \\t/bin/sh|' "$IMAGE/.singularity.d/runscript"
            minictr build --force "$DIRECTORY/own.sif" "$IMAGE"
            minictr run --no-home "$DIRECTORY/own.sif" one two""",
    ),
    Case(
        "MC0628",
        status=126,
        proof=("/bin/true.o is an object file", "e_type is 1"),
        fix=("Link /bin/true.o to a program",),
        repaired="""cp "$IMAGE/bin/busybox" "$IMAGE/bin/true.o"
            minictr exec "$IMAGE" true.o; minictr exec "$IMAGE" true""",
        near='foreign-elf /bin/true "$IMAGE/bin/true.o"; minictr exec "$IMAGE" true.o',
        instead="MC0611",
    ),
    Case(
        "MC0628",
        name="headers",
        status=126,
        script="""cp "$IMAGE/bin/busybox" "$IMAGE/bin/tool"; poke "$IMAGE/bin/tool" 54 '\\007'
            minictr exec "$IMAGE" tool""",
        proof=("/bin/tool is damaged", "its e_phentsize is 7 and not 56"),
        fix=("Copy or build /bin/tool again.",),
        repaired='minictr exec "$IMAGE" true',
        near='head -c 60 "$IMAGE/bin/busybox" >"$IMAGE/bin/tool"; chmod +x "$IMAGE/bin/tool"\n'
        'minictr exec "$IMAGE" tool',
        instead="MC0610",
    ),
    Case(
        "MC0629",
        status=126,
        proof=("the ELF interpreter of /bin/dynamic, is no ELF file", "has 292 bytes"),
        fix=("Install /", "anew where the image is built."),
        repaired=f'cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}\nminictr exec "$IMAGE" dynamic',
        near='cp /bin/true "$IMAGE/bin/dynamic"; minictr exec "$IMAGE" dynamic',
        instead="MC0609",
    ),
    Case(
        "MC0629",
        name="empty",
        status=126,
        script=f"""cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}
            for file in $(ldd /bin/true | grep -o '/[^ ]*/ld-[^ ]*'); do
                : >"$IMAGE$file"; done; minictr exec "$IMAGE" dynamic""",
        proof=("is no ELF file", "has 0 bytes"),
        repaired=f'cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}\nminictr exec "$IMAGE" dynamic',
        near=f"""cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}
            for file in $(ldd /bin/true | grep -o '/[^ ]*/ld-[^ ]*'); do
                chmod 0644 "$IMAGE$file"; done; minictr exec "$IMAGE" dynamic""",
        instead="MC0622",
    ),
]
