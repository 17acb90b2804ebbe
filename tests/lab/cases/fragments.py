"""Faults of the files of --env-file, which the image's own shell evaluates."""

from __future__ import annotations

from lab.bench import Case

WRITE = """write() { printf "$1" >"$DIRECTORY/variables"; }
    launch() { minictr exec --env-file "$DIRECTORY/variables" "$IMAGE" true; }"""

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
]
