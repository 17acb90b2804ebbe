"""What has to stay without a cause."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import HELPERS

TALKER = """#!/bin/sh
head -c 1000000 /dev/zero | tr "\\0" x; exit 1"""
REPLACED = f"""printf '%s\\n' '{TALKER}' >"$DIRECTORY/newuidmap"
    chmod 4755 "$DIRECTORY/newuidmap"; mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap"""
GREET = """printf '#!{}\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet\""""

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
    # What a container's /proc/self leads to is seen by its own processes alone.
    Case(
        "MC0000",
        name="command-by-proc",
        script='minictr exec "$IMAGE" /proc/self/root/bin/nosuch',
        proof=(),
        repaired='minictr exec "$IMAGE" /proc/self/root/bin/true',
        near='minictr exec "$IMAGE" /proc/nosuch',
        instead="MC0604",
        status=127,
    ),
    Case(
        "MC0000",
        name="link-by-proc",
        script='ln -s /proc/self/nosuch "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet',
        proof=(),
        repaired='minictr exec "$IMAGE" true',
        near='ln -s /proc/nosuch "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet',
        instead="MC0601",
        status=127,
    ),
    Case(
        "MC0000",
        name="interpreter-by-proc",
        script=f"""{GREET.format("/proc/self/root/bin/nosuch")}; minictr exec "$IMAGE" greet""",
        proof=(),
        repaired=f"""{GREET.format("/proc/self/root/bin/sh")}; minictr exec "$IMAGE" greet""",
        near=f"""{GREET.format("/proc/nosuch")}; minictr exec "$IMAGE" greet""",
        instead="MC0608",
        status=127,
    ),
    Case(
        "MC0437",
        name="by-proc",
        script='minictr exec --pwd /dev/fd/0 "$IMAGE" true',
        proof=("/dev/fd/0 is no directory", "chdir(/dev/fd/0): ENOTDIR"),
        fix=("minictr exec ",),
        repaired='eval "$USER_FIX"',
        near='minictr exec --pwd /proc/self/nosuch "$IMAGE" true',
        instead="MC0000",
    ),
]
