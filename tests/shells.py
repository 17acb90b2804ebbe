"""The shells of this machine, each as a container's /bin/sh: a test uses those that are there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from skipping import require_program

SHELLS = ["dash", "busybox", "bash"]


def as_sh(name: str, directory: Path) -> str:
    """A path whose last component is `sh`, which is what makes busybox and bash a POSIX shell."""
    program = require_program(name, "MC0601", name)
    link = directory / name / "sh"
    if not link.exists():
        link.parent.mkdir()
        link.symlink_to(program)
    return str(link)


@pytest.fixture(params=SHELLS)
def sh(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The path of each shell in turn."""
    return as_sh(request.param, tmp_path)


def present() -> list[str]:
    """The names of those that are installed."""
    return [name for name in SHELLS if shutil.which(name)]
