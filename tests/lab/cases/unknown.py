"""What has to stay without a cause."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import HELPERS

TALKER = """#!/bin/sh
head -c 1000000 /dev/zero | tr "\\0" x; exit 1"""
REPLACED = f"""printf '%s\\n' '{TALKER}' >"$DIRECTORY/newuidmap"
    chmod 4755 "$DIRECTORY/newuidmap"; mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap"""

CASES = [
    Case(
        "MC0000",
        proof=(),
        repaired='minictr exec --hostname inside "$IMAGE" true',
        near='filtered --refuse clone:user -- minictr exec --hostname inside "$IMAGE" true',
        instead="MC0204",
    ),
    # A filter's answer is no fact about what was asked for.
    Case(
        "MC0000",
        name="getpid",
        script='filtered --refuse getpid -- minictr exec --id-map single "$IMAGE" true',
        proof=(),
        repaired='minictr exec --id-map single "$IMAGE" true',
        near='filtered --refuse faccessat2 -- minictr exec "$IMAGE" true',
    ),
    Case(
        "MC0000",
        name="talkative-helper",
        as_root=True,
        script=f"{REPLACED}; {HELPERS}",
        proof=(),
        repaired=HELPERS,
        near=f"{REPLACED}; {HELPERS.replace('helpers', 'single')}",
    ),
    Case(
        "MC0000",
        name="no-step",
        script='filtered --refuse uname -- minictr exec "$IMAGE" true',
        proof=("EPERM: read_host in host.py", "PermissionError"),
        repaired='minictr exec "$IMAGE" true',
        near='filtered --refuse faccessat2 -- minictr exec "$SIF" true',
    ),
]
