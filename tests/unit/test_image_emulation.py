"""Emulators: an image for another machine is accepted where the kernel runs its programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from minictr.image.emulation import ELF, emulator_of

# As Debian's qemu-user-static registers them.
ARM64 = """enabled
interpreter /usr/bin/qemu-aarch64
flags: OCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
S390X = """enabled
interpreter /usr/bin/qemu-s390x
flags: F
offset 0
magic 7f454c4602020100000000000000000000020016
mask ffffffffffffff00fffffffffffffffffffeffff
"""


@pytest.fixture
def register(tmp_path: Path) -> Path:
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "register").mkdir()  # cannot be read, as the kernel's
    (tmp_path / "qemu-aarch64").write_text(ARM64)
    (tmp_path / "qemu-s390x").write_text(S390X)
    return tmp_path


@pytest.mark.parametrize("architecture", [*ELF, "unknown"])
def test_an_entry_serves_its_own_architecture_alone(register: Path, architecture: str) -> None:
    served = {"arm64": "/usr/bin/qemu-aarch64", "s390x": "/usr/bin/qemu-s390x"}
    assert emulator_of(architecture, str(register)) == served.get(architecture, "")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("enabled", "disabled"),
        ("flags: OCF", "flags: OC"),
        ("offset 0", "offset 4"),
        ("magic 7f454c46", "magic 7f454c47"),
        ("magic 7f454c460201010000000000000000000200b700\n", ""),
        ("magic 7f", "extension x"),
    ],
)
def test_an_entry_that_cannot_serve_is_passed_over(register: Path, old: str, new: str) -> None:
    assert old in ARM64
    (register / "qemu-aarch64").write_text(ARM64.replace(old, new))
    assert emulator_of("arm64", str(register)) == ""


def test_no_register_means_no_emulator(tmp_path: Path) -> None:
    assert emulator_of("arm64", str(tmp_path / "absent")) == ""
