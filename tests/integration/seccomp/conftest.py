"""Gives the tests the filters of the built-in profiles as files."""

from __future__ import annotations

from pathlib import Path

import pytest
from under_filters import (
    MACHINE,
    PACKAGE,
    UNCONFINED,
)

from minictr.runtime.filter import compile_filter
from minictr.runtime.profile import read_profile


@pytest.fixture(scope="module")
def filters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files with the filters, by name: the two profiles, "kept" (--fakeroot) and none at all."""
    directory = tmp_path_factory.mktemp("filters")
    made = {UNCONFINED: b""}
    for name in ("default", "compat"):
        profile = read_profile(str(PACKAGE / f"profiles/{name}.toml"))
        made[name] = compile_filter(profile, MACHINE, False).bpf
        if name == "default":
            made["kept"] = compile_filter(profile, MACHINE, True).bpf
    for name, program in made.items():
        (directory / name).write_bytes(program)
    return {name: directory / name for name in made}
