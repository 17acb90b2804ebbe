"""What is read of an unpacked root: runscript, shell, environment scripts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from image_files import IMAGES, PARTITION_AT, shared
from skipping import require, require_program

from minictr.image.describe import commands, describe

BUSYBOX_SCRIPTS = ["01-base.sh", "90-environment.sh", "95-apps.sh", "99-base.sh"]
NO_RUNSCRIPT = (
    '#!/bin/sh\n# a licence\n\necho "There is no runscript defined for this container\\n";\n'
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".singularity.d" / "env").mkdir(parents=True)
    return tmp_path


def add(root: Path, path: str, text: str | bytes, mode: int = 0o755) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text.encode() if isinstance(text, str) else text)
    target.chmod(mode)


def names(root: Path) -> list[str]:
    return [os.path.basename(path) for path, _ in describe(str(root), "directory", "").scripts]


@pytest.fixture(scope="module")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that apptainer made."""
    program = require_program("unsquashfs", "MC0118", "squashfs-tools")
    target = tmp_path_factory.mktemp("busybox") / "root"
    image = IMAGES / "bb-gzip.sif"
    command = [program, "-n", "-o", str(PARTITION_AT), "-no-xattrs", "-d", target, image]
    subprocess.run(command, check=True, capture_output=True)
    return target


def test_the_boilerplate_of_apptainer_has_no_effect_of_its_own(busybox: Path) -> None:
    tree = describe(str(busybox), "sif", "ab")
    assert (tree.runscript, tree.shell, tree.scripts, tree.lock) == ("default", True, (), -1)
    assert set(BUSYBOX_SCRIPTS) <= set(os.listdir(busybox / ".singularity.d/env"))


@pytest.mark.parametrize("name", ["95-apps.sh", "99-base.sh", "99-runtimevars.sh"])
def test_a_changed_boilerplate_script_is_kept(root: Path, busybox: Path, name: str) -> None:
    text = (busybox / ".singularity.d/env" / name).read_text()
    add(root, f".singularity.d/env/{name}", text)
    assert names(root) == []
    add(root, f".singularity.d/env/{name}", text + "export MORE=1\n")
    assert names(root) == [name]


def test_the_base_script_of_singularity_3_is_known(root: Path) -> None:
    text = (
        '#!/bin/sh\n# \nif [ -z "$LD_LIBRARY_PATH" ]; then\n'
        '    LD_LIBRARY_PATH="/.singularity.d/libs"\nelse\n'
        '    LD_LIBRARY_PATH="$LD_LIBRARY_PATH:/.singularity.d/libs"\nfi\n\n'
        'PS1="Singularity> "\nexport LD_LIBRARY_PATH PS1\n'
    )
    add(root, ".singularity.d/env/99-base.sh", text)
    assert names(root) == []


def test_scripts_come_in_the_order_of_the_glob_with_their_text(root: Path) -> None:
    for name in ("b.sh", "B.sh", "10-a.sh", "9-a.sh", ".hidden.sh", "not-a-script", "é.sh"):
        add(root, f".singularity.d/env/{name}", f"export A='{name}'\n")
    assert names(root) == ["10-a.sh", "9-a.sh", "B.sh", "b.sh", "é.sh"]
    first = describe(str(root), "directory", "").scripts[0]
    assert first == ("/.singularity.d/env/10-a.sh", "export A='10-a.sh'\n")


def test_scripts_of_comments_alone_are_left_out(root: Path) -> None:
    add(root, ".singularity.d/env/90-environment.sh", "#!/bin/sh\n\n  # nothing\n")
    add(root, ".singularity.d/env/94-appsbase.sh", "")
    assert names(root) == []


def test_bytes_that_are_not_text_survive(root: Path) -> None:
    add(root, ".singularity.d/env/90-environment.sh", b"export A=\xff\xfe\n")
    text = describe(str(root), "directory", "").scripts[0][1]
    assert text.encode("utf-8", "surrogateescape") == b"export A=\xff\xfe\n"


def test_what_is_no_regular_file_is_not_read(root: Path) -> None:
    os.mkfifo(root / ".singularity.d/env/10-fifo.sh")
    (root / ".singularity.d/env/20-directory.sh").mkdir()
    (root / ".singularity.d/env/30-dangling.sh").symlink_to("/absent")
    os.mkfifo(root / ".singularity.d/runscript", 0o755)
    assert names(root) == []
    assert describe(str(root), "directory", "").runscript == ""


def test_links_are_followed_inside_the_tree(root: Path) -> None:
    (root / ".singularity.d/env/10-link.sh").symlink_to("/opt/script")
    add(root, "opt/script", "export INSIDE=1\n")
    assert names(root) == ["10-link.sh"]


def test_an_old_image_has_its_environment_in_one_file(tmp_path: Path) -> None:
    add(tmp_path, "environment", "export OLD=1\n")
    scripts = describe(str(tmp_path), "directory", "").scripts
    assert scripts == (("/environment", "export OLD=1\n"),)


def test_the_old_file_is_ignored_beside_the_new_directory(root: Path) -> None:
    add(root, "environment", "export OLD=1\n")
    assert names(root) == []


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        (NO_RUNSCRIPT, 0o755, "default"),
        (NO_RUNSCRIPT + "exec sh\n", 0o755, "own"),
        ("#!/bin/sh\nexec echo\n", 0o755, "own"),
        ("#!/bin/sh\nexec echo\n", 0o644, ""),
        ("", 0o755, "own"),
    ],
)
def test_the_runscript_is_told_from_its_boilerplate(
    root: Path, text: str, mode: int, expected: str
) -> None:
    add(root, ".singularity.d/runscript", text, mode)
    assert describe(str(root), "directory", "").runscript == expected


def test_a_tree_without_metadata_has_nothing(tmp_path: Path) -> None:
    tree = describe(str(tmp_path), "directory", "")
    assert (tree.runscript, tree.shell, tree.scripts) == ("", False, ())


def test_a_shell_is_an_executable_file_behind_links_of_the_tree(root: Path) -> None:
    (root / "bin").symlink_to("/usr/bin")
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/sh").symlink_to("busybox")
    assert not describe(str(root), "directory", "").shell
    add(root, "usr/bin/busybox", b"\x7fELF", 0o644)
    assert not describe(str(root), "directory", "").shell
    add(root, "usr/bin/busybox", b"\x7fELF", 0o755)
    assert describe(str(root), "directory", "").shell


def test_commands_are_what_is_neither_blank_nor_comment() -> None:
    assert commands("#!/bin/sh\n\n  a b # c\n\t# d\n\te\n") == "a b # c\ne"


@pytest.mark.parametrize(
    ("name", "offset", "runscript", "scripts"),
    [
        (
            "full-gzip.sif",
            36864,
            "own",
            ["90-environment.sh", "91-environment.sh", "94-appsbase.sh"],
        ),
        ("docker.sif", 40960, "own", ["10-docker2singularity.sh"]),
        ("bb-xz.sif", 36864, "default", []),
        ("legacy2x.simg", 31, "", []),
    ],
)
def test_images_that_apptainer_made(
    tmp_path: Path, name: str, offset: int, runscript: str, scripts: list[str]
) -> None:
    folder = shared()
    require(folder, "SHARED", "the corpus of SIF images is not beside the repository")
    program = require_program("unsquashfs", "MC0118", "squashfs-tools")
    root = tmp_path / "root"
    command = [program, "-n", "-o", str(offset), "-no-xattrs", "-d", root, f"{folder}/sifs/{name}"]
    subprocess.run(command, check=True, capture_output=True)
    tree = describe(str(root), "sif", "")
    assert (tree.runscript, names(root), tree.shell) == (runscript, scripts, True)
