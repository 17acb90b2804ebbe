"""Skips a test that cannot run on this machine, by the code of the cause that stands in its way.

The code is the one that `minictr doctor` gives; what minictr itself can do without has a word in
capitals instead: EXT (e2fsprogs), NETWORK, PEERS, ROOT, SHARED, SHELL.
"""

from __future__ import annotations

import collections
import re
import shutil

import pytest

CODE = re.compile(r"(?:Skipped: )?((?:MC\d{4})|[A-Z]{2,}): ")


def require(condition: object, code: str, why: str) -> None:
    """Skip the calling test, naming the cause, unless the condition holds."""
    if not condition:
        pytest.skip(f"{code}: {why}")


def require_program(name: str, code: str, package: str) -> str:
    """Give the path of a program; skip the calling test where it is missing."""
    path = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
    require(path, code, f"{name} is not installed (Debian package {package})")
    assert path
    return path


def count_by_code(reports: list[pytest.TestReport]) -> dict[str, int]:
    """Count skipped tests by the code in their reason; "no code" holds the rest."""
    counts: collections.Counter[str] = collections.Counter()
    for report in reports:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        match = CODE.match(reason)
        counts[match.group(1) if match else "no code"] += 1
    return dict(sorted(counts.items()))
