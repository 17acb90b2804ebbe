"""Faults of the scripts which the image's own shell evaluates: its own, and those of --env-file."""

from __future__ import annotations

from lab.bench import Case

WRITE = """write() { printf "$1" >"$DIRECTORY/variables"; }
    launch() { minictr exec --env-file "$DIRECTORY/variables" "$IMAGE" true; }"""

SCRIPT = """script() { mkdir -p "$IMAGE/.singularity.d/env"
    printf "$1" >"$IMAGE/.singularity.d/env/10-site.sh"; }
    launch() { minictr exec "$IMAGE" true; }"""
ENDS = "/.singularity.d/env/10-site.sh ends the shell that reads it, with status "

CASES = [
    Case(
        "MC0631",
        proof=(
            '{directory}/variables, line 2: syntax error: unexpected "fi"',
            'asked by sh -n: line 2: syntax error: unexpected "fi"',
        ),
        fix=("Correct {directory}/variables, line 2.",),
        repaired=f"{WRITE}; write 'A=1\nif :; then B=1; fi\n'; launch",
        near=f"{WRITE}; write 'A=$NOT_SET\nif :; then nosuch; fi\nexport B=$(false)\n'; launch",
    ),
    Case(
        "MC0631",
        name="exit",
        script=f"{WRITE}; write 'A=$(id)\nexit 4\n'; launch",
        proof=("{directory}/variables ends the shell that evaluates it, with status 4",),
        fix=("Take out of {directory}/variables what ends the shell.",),
        repaired=f"{WRITE}; write 'A=$(id)\n'; launch",
        near=f"{WRITE}; write 'A=$(exit 4)\n'; launch",
    ),
    Case(
        "MC0631",
        name="unset",
        script=f"{WRITE}; write 'set -u\nA=$NOT_SET\n'; launch",
        proof=("{directory}/variables ends the shell that evaluates it, with status 2",),
        repaired=f"{WRITE}; write 'set -u\nA=${{NOT_SET-}}\n'; launch",
        near=f"{WRITE}; write 'A=$NOT_SET; B=$(id)\n'; launch",
    ),
    Case(
        "MC0632",
        status=3,
        proof=(f"{ENDS}3", "the shell had begun to read it"),
        fix=("-B /dev/null:/.singularity.d/env/10-site.sh",),
        repaired=f"{SCRIPT}; script 'cd / && exit 3\n'; eval \"$USER_FIX\"",
        near=f"{SCRIPT}; script 'cd / && return 3\n'; launch",
    ),
    Case(
        "MC0632",
        name="well",
        status=0,
        script=f"{SCRIPT}; script 'if :; then exit 0; fi\n'; launch",
        proof=(f"{ENDS}0",),
        repaired=f"{SCRIPT}; script 'if :; then exit 0; fi\n'; eval \"$USER_FIX\"",
        # flock(1) in scripts has a descriptor of one digit.
        near=f"{SCRIPT}; script 'exec 9>/dev/null; A=$(exit 3)\n'; launch",
    ),
    Case(
        "MC0632",
        name="syntax",
        status=2,
        script=f"{SCRIPT}; script 'if then\n'; launch",
        proof=(f"{ENDS}2",),
        repaired=f"{SCRIPT}; script 'if then\n'; eval \"$USER_FIX\"",
        # What ends the shell is behind the last script, and no script's own.
        near=f"{SCRIPT}; script 'A=$(id); readonly PATH\n'; launch",
        instead="MC0000",
    ),
    Case(
        "MC0632",
        name="descriptors",
        status=3,
        script=f"{SCRIPT}; script 'A=$(id)\nexit 3\n'; ulimit -n 64; launch",
        proof=(f"{ENDS}3",),
        repaired=f"{SCRIPT}; script 'A=$(id)\nexit 3\n'; eval \"$USER_FIX\"",
        # A shell that can open no file of a script ends, and no script ends it.
        near=f"{SCRIPT}; script 'A=$(id)\n'; ulimit -n 11; launch",
        instead="MC0000",
    ),
    Case(
        "MC0632",
        name="memory",
        status=3,
        script=f"{SCRIPT}; script 'A=$(id)\nexit 3\n'; ulimit -v 300000; launch",
        proof=(f"{ENDS}3",),
        repaired=f"{SCRIPT}; script 'A=$(id)\nexit 3\n'; eval \"$USER_FIX\"",
        # A shell that gets no memory for a value ends as well.
        near=f"{SCRIPT}; script 'A=$(yes | head -c 90000000)\n'; ulimit -v 60000; launch",
        instead="MC0000",
    ),
]
