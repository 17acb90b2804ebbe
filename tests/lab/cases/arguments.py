"""Faults of arguments and environment that are too big."""

from __future__ import annotations

from lab.bench import Case

# make COUNT BYTES: a file with so many variables of so many bytes.
MAKE = """make() { x=$(head -c "$2" /dev/zero | tr '\\0' x)
    for number in $(seq "$1"); do printf 'V%s=%s\\n' "$number" "$x"; done >"$DIRECTORY/variables"; }
    launch() { minictr exec --env-file "$DIRECTORY/variables" "$IMAGE" true; }"""

CASES = [
    Case(
        "MC0612",
        status=126,
        proof=("the variable LONG is longer than the kernel takes: 140005 bytes", "131071 bytes"),
        fix=("Take LONG out of {directory}/variables.",),
        repaired=f"{MAKE}; make 1 100; launch",
        # As long as one string may be: its name, "=" and the NUL are part of it.
        near=f"{MAKE}; make 1 131068; launch",
    ),
    Case(
        "MC0612",
        name="byte",
        status=126,
        script=f"{MAKE}; make 1 131069; launch",
        proof=("the variable V1 is longer than the kernel takes: 131072 bytes",),
        repaired=f"{MAKE}; make 1 131068; launch",
        near=f"{MAKE}; make 40 130000; launch",
        instead="MC0613",
    ),
    Case(
        "MC0613",
        status=126,
        proof=("and 262144 are allowed", "getrlimit(RLIMIT_STACK): 1048576"),
        fix=("ulimit -S -s ", "minictr exec --env-file {directory}/variables"),
        prepare=f"{MAKE}; make 3 100000; ulimit -S -s 1024",
        repaired='eval "$USER_FIX"',
        near=f"{MAKE}; make 2 100000; ulimit -S -s 1024; launch",
    ),
    Case(
        "MC0613",
        name="least",
        status=126,
        # So little stack is allowed 128 KiB all the same.
        prepare=f"{MAKE}; make 2 70000; ulimit -S -s 400",
        script="launch",
        proof=("and 131072 are allowed",),
        repaired='eval "$USER_FIX"',
        near=f"{MAKE}; make 1 120000; ulimit -S -s 400; launch",
    ),
    Case(
        "MC0614",
        status=126,
        proof=("and the kernel takes 6291456", "the longest is V50"),
        fix=("in several launches",),
        repaired=f"{MAKE}; make 40 130000; ulimit -S -s 65536; launch",
        near=f"{MAKE}; make 50 130000; ulimit -S -s 16384; launch",
        instead="MC0613",
    ),
]
