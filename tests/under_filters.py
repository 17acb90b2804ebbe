"""Programs run under the real filters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import minictr

PACKAGE = Path(minictr.__file__).parent
MACHINE = os.uname().machine
UNCONFINED = "unconfined"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

# Started with the file of a filter and a command, it loads the one and becomes the other.
LOADER = """
import ctypes, os, sys
from minictr.runtime.syscalls import seccomp_load
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
program = open(sys.argv[1], 'rb').read()
if program:
    seccomp_load(program)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def run(program: Path, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command under a filter."""
    paths = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", LOADER, str(program), *command],
        input=text,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths, "PATH": SYSTEM_PATH, "LC_ALL": "C"},
        timeout=60,
        check=False,
    )
