"""The filters of the built-in profiles that are compiled beforehand: minictr/runtime/shipped.py."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from minictr.runtime import bpf
from minictr.runtime.filter import compile_filter
from minictr.runtime.profile import MACHINES, abis_of, read_profile
from minictr.runtime.seccomp import BUILT_IN, FORMAT, filter_for, path_of
from minictr.runtime.shipped import file_of, shipped

X32 = 1 << 30
# Of x32 the calls that every libseccomp knows: younger ones some know for x86_64 alone.
NUMBERS = (*range(500), *(X32 | number for number in (*range(335), *range(512, 550))))
# What the rules with conditions look at: ioctl(2), clone(2), socket(2), personality(2), ...
ARGUMENTS = (
    (),
    (0, 0x5412),
    (0, 0x541C),
    (0x10000000,),
    (0x3D0F00,),
    (16, 3, 9),
    (40,),
    (1 << 32,),
)


@pytest.mark.parametrize(
    ("name", "machine", "keep"), list(product(BUILT_IN, MACHINES, (False, True)))
)
def test_what_is_shipped_decides_as_what_would_be_compiled(
    name: str, machine: str, keep: bool
) -> None:
    path = path_of(name)
    kept = shipped(path, machine, keep, FORMAT)
    assert kept, f"{file_of(path, machine, keep)} is stale: scripts/compile-filters"
    made = compile_filter(read_profile(path), machine, keep).bpf
    if kept != made:  # by another release of libseccomp
        for abi, number, arguments in product(abis_of(machine), NUMBERS, ARGUMENTS):
            asked = (bpf.AUDIT_ARCH["x86_64" if abi == "x32" else abi], number, arguments)
            assert bpf.verdict(kept, *asked) == bpf.verdict(made, *asked), asked


def test_of_a_profile_that_was_changed_nothing_is_shipped(tmp_path: Path) -> None:
    shutil.copytree(Path(path_of("default")).parent, tmp_path / "profiles")
    path = tmp_path / "profiles/default.toml"
    assert shipped(str(path), "x86_64", False, FORMAT)
    assert not shipped(str(path), "x86_64", False, FORMAT + 1)
    path.write_text(path.read_text().replace("EPERM", "EACCES", 1))
    assert not shipped(str(path), "x86_64", False, FORMAT)
    assert not shipped(str(path), "riscv64", False, FORMAT)


def test_a_first_launch_needs_no_libseccomp() -> None:
    code = "import sys; sys.modules['pyseccomp'] = None; sys.path.insert(0, sys.argv[1])\n"
    code += "from minictr.runtime.seccomp import filter_for\n"
    code += "sys.stdout.buffer.write(filter_for('default', False, ''))\n"
    package = str(Path(path_of("default")).parent.parent.parent)
    made = subprocess.check_output([sys.executable, "-ISc", code, package])
    assert made == filter_for("default", False, "")
