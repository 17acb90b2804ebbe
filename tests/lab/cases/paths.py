"""Faults of paths, and of interpreters that are scripts themselves."""

from __future__ import annotations

from lab.bench import Case

# Scripts s1 to s5, each the interpreter of the one before; then what $1 names.
CHAIN = """chain() { for number in 1 2 3 4; do
        printf '#!/bin/s%s\\n' "$((number + 1))" >"$IMAGE/bin/s$number"; done
    printf '#!%s\\n' "$1" >"$IMAGE/bin/s5"; chmod +x "$IMAGE"/bin/s?; }"""
# l1 to l$1, each a link to the one before, and the first to a script.
LINKS = """links() { rm "$IMAGE/bin/true"; printf '#!/bin/sh\\n' >"$IMAGE/bin/true"
    chmod +x "$IMAGE/bin/true"; ln -s true "$IMAGE/bin/l0"
    for number in $(seq "$1"); do ln -s "l$((number - 1))" "$IMAGE/bin/l$number"; done; }"""
LONG = "0" * 300
# All that the image has, /bin/sh as well, is a script for /bin/sh.
OWN_SHELL = """printf '#!/bin/sh\\n' >"$IMAGE/script"; chmod +x "$IMAGE/script"
    mv "$IMAGE/script" "$IMAGE/bin/busybox\""""

CASES = [
    Case(
        "MC0616",
        status=126,
        proof=("/bin/loop is a symbolic link to loop", "more than 40 symbolic links"),
        fix=("Correct /bin/loop in the image",),
        repaired="""printf '#!/bin/sh\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet"
            ln -s greet "$IMAGE/bin/loop"; minictr exec "$IMAGE" /bin/loop""",
        near="""mv "$IMAGE/bin/busybox" "$IMAGE/bin/one"; ln -s one "$IMAGE/bin/two"
            ln -s two "$IMAGE/bin/busybox"; minictr exec "$IMAGE" /bin/true""",
    ),
    Case(
        "MC0616",
        name="many",
        status=126,
        script=f'{LINKS}; links 41; minictr exec "$IMAGE" /bin/l41',
        proof=("/bin/l1 is a symbolic link to l0, one of too many on the way",),
        repaired=f'{LINKS}; links 38; minictr exec "$IMAGE" /bin/l38',
        # Forty with that of busybox.
        near=f'{LINKS}; links 39; minictr exec "$IMAGE" /bin/l39',
    ),
    Case(
        "MC0616",
        name="search",
        status=127,
        script='ln -s loop "$IMAGE/bin/loop"; minictr exec "$IMAGE" loop',
        proof=("/bin/loop is a symbolic link to loop",),
        repaired='ln -s true "$IMAGE/bin/loop"; minictr exec --env PATH=/bin "$IMAGE" true',
        near='ln -s nowhere "$IMAGE/bin/loop"; minictr exec "$IMAGE" loop',
        instead="MC0601",
    ),
    Case(
        "MC0616",
        name="interpreter",
        status=126,
        script="""ln -s loop "$IMAGE/loop"; printf '#!/loop\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet""",
        proof=("/loop is a symbolic link to loop", "the way to /loop in the container"),
        repaired="""printf '#!/bin/sh\\n' >"$IMAGE/good"; ln -s good "$IMAGE/loop"
            chmod +x "$IMAGE/good"; printf '#!/loop\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet""",
        near=f'{CHAIN}; chain /bin/s1; minictr exec "$IMAGE" s1',
        instead="MC0617",
    ),
    Case(
        "MC0617",
        status=126,
        proof=("/bin/self has a script as its interpreter", "/bin/self -> /bin/self"),
        fix=("sed -i", "{image}/bin/self"),
        repaired="""printf '#!/bin/self\\n' >"$IMAGE/bin/self"; chmod +x "$IMAGE/bin/self"
            eval "$USER_FIX" && minictr exec "$IMAGE" self""",
        # Five scripts and a program are what the kernel allows.
        near=f'{CHAIN}; chain /bin/true; minictr exec "$IMAGE" s1',
    ),
    Case(
        "MC0617",
        name="shell",
        status=126,
        script=f'{OWN_SHELL}; minictr exec "$IMAGE" true',
        proof=("/bin/busybox has a script as its interpreter",),
        fix=("Name a program, not a script, as the interpreter",),
        repaired='minictr exec "$IMAGE" true',
        near='printf "#!/bin/sh\\n" >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet"\n'
        'minictr exec "$IMAGE" greet',
    ),
    Case(
        "MC0617",
        name="six",
        status=126,
        script=f"""{CHAIN}; chain /bin/s6; printf '#!/bin/true\\n' >"$IMAGE/bin/s6"
            chmod +x "$IMAGE/bin/s6"; minictr exec "$IMAGE" s1""",
        proof=("/bin/s1 -> /bin/s2 -> /bin/s3 -> /bin/s4 -> /bin/s5 -> /bin/s6 -> /bin/true",),
        fix=("in the first line of /bin/s6",),
        repaired=f'{CHAIN}; chain /bin/true; minictr exec "$IMAGE" s1',
        near=f'{CHAIN}; chain /bin/nosuch; minictr exec "$IMAGE" s1',
        instead="MC0608",
    ),
    Case(
        "MC0627",
        status=127,
        proof=("/bin/greet names its interpreter 'sh'", " has no entry sh"),
        fix=("#!/bin/sh", "{image}/bin/greet"),
        repaired="""printf '#!sh\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet"
            eval "$USER_FIX" && minictr exec "$IMAGE" greet""",
        # Relative, and there.
        near="""printf '#!bin/sh\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet"
            minictr exec --pwd / "$IMAGE" greet""",
    ),
    Case(
        "MC0630",
        status=126,
        proof=("a name in it has 300 bytes, and 255 are allowed",),
        fix=("Shorten the path.",),
        repaired='minictr exec "$IMAGE" "/bin/true"',
        near=f'minictr exec "$IMAGE" "/bin/{LONG[:255]}"',
        instead="MC0604",
    ),
    Case(
        "MC0630",
        name="argument",
        status=126,
        script=f'minictr run "$IMAGE" /bin/{LONG}',
        proof=("a name in it has 300 bytes, and 255 are allowed",),
        repaired='minictr run "$IMAGE" /bin/true',
        # What was typed is an argument of the runscript, which the kernel looks at no further.
        near=f"""mkdir -p "$IMAGE/.singularity.d"; cd "$IMAGE/.singularity.d"
            printf '#!/bin/nosuch\\n' >runscript; chmod +x runscript
            minictr run "$IMAGE" /bin/{LONG}""",
        instead="MC0608",
    ),
    Case(
        "MC0630",
        name="search",
        status=127,
        script=f'minictr exec "$IMAGE" {LONG}',
        proof=("a name in it has 300 bytes",),
        repaired='minictr exec "$IMAGE" true',
        near=f'minictr exec "$IMAGE" {LONG[:255]}',
        instead="MC0602",
    ),
    Case(
        "MC0630",
        name="loader",
        status=126,
        script=f"""with-loader /bin/true "$IMAGE/bin/dynamic" /lib/{LONG}
            mkdir -p "$IMAGE/lib"; minictr exec "$IMAGE" dynamic""",
        proof=("the ELF interpreter of /bin/dynamic is too long: a name in it has 300 bytes",),
        fix=("Link /bin/dynamic anew",),
        repaired='minictr exec "$IMAGE" true',
        # The kernel comes no further than to a missing directory.
        near=f"""with-loader /bin/true "$IMAGE/bin/dynamic" /nosuch/{LONG}
            minictr exec "$IMAGE" dynamic""",
        instead="MC0609",
    ),
]
