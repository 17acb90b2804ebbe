"""What `minictr build` writes, read by the parser and by unsquashfs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from skipping import require_program

from minictr.cli import build as command
from minictr.image import sif
from minictr.image.open import architecture_of, open_image
from minictr.image.source import open_source, read
from minictr.refusal import Refusal

RUNSCRIPT = "#!/bin/sh\necho hello\n"


@pytest.fixture(autouse=True)
def _mksquashfs() -> None:
    require_program("mksquashfs", "MC0127", "squashfs-tools")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    metadata = tmp_path / "root" / ".singularity.d"
    (metadata / "env").mkdir(parents=True)
    (metadata / "runscript").write_text(RUNSCRIPT)
    (metadata / "labels.json").write_text('{"a": "b"}')
    (metadata / "env" / "90-environment.sh").write_text("export A=1\n")
    return tmp_path / "root"


def build(*arguments: object, **environ: str) -> int:
    return command.main([str(argument) for argument in arguments], environ)


def objects(path: Path) -> tuple[sif.Header, list[tuple[sif.Descriptor, bytes]]]:
    source = open_source(str(path))
    try:
        header = sif.read_header(source, read(source, 0, 2048))
        found = list(sif.read_descriptors(source, header))
        return header, [(each, read(source, each.offset, each.size)) for each in found]
    finally:
        os.close(source.descriptor)


def refused(*arguments: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        build(*arguments)
    return caught.value


def test_the_image_is_opened_as_one_of_this_machine(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.sif"
    assert build(output, root) == 0
    image = open_image(str(output))
    machine = architecture_of(os.uname().machine)
    assert (image.kind, image.architecture, image.compressor) == ("sif", machine, "gzip")
    assert image.offset % sif.PARTITION_ALIGNMENT == 0
    assert image.offset + image.size == output.stat().st_size
    assert output.stat().st_mode & 0o777 == 0o755 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_the_objects_are_those_of_apptainer(root: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe"
    recipe.write_text("Bootstrap: scratch\n")
    build("--recipe", recipe, tmp_path / "out.sif", root)
    header, found = objects(tmp_path / "out.sif")
    kinds = [(each.type, each.id, each.group, each.link, each.name) for each, _ in found]
    assert kinds == [
        (sif.DEFFILE, 1, 1, 0, ""),
        (sif.GENERIC_JSON, 2, 1, 0, "inspect-metadata.json"),
        (sif.PARTITION_TYPE, 3, 1, 0, ""),
    ]
    assert found[0][1] == b"Bootstrap: scratch\n"
    assert (header.dfree, header.dtotal, header.launch) == (45, 48, sif.LAUNCH.rstrip(b"\0"))
    assert header.dataoff + header.datalen == (tmp_path / "out.sif").stat().st_size
    end = header.dataoff
    for descriptor, _ in found:
        assert descriptor.offset + descriptor.size == end + descriptor.size_with_padding
        end = descriptor.offset + descriptor.size


def test_the_metadata_says_what_the_tree_holds(root: Path, tmp_path: Path) -> None:
    build(tmp_path / "out.sif", root)
    _, found = objects(tmp_path / "out.sif")
    attributes = json.loads(found[0][1])["data"]["attributes"]
    assert attributes == {
        "environment": {"/.singularity.d/env/90-environment.sh": "export A=1"},
        "labels": {"a": "b"},
        "runscript": RUNSCRIPT.rstrip("\n"),
    }


@pytest.mark.parametrize("compressor", ["gzip", "xz", "zstd", "lz4", "lzo"])
def test_each_compressor_gives_the_tree_back(root: Path, tmp_path: Path, compressor: str) -> None:
    unsquashfs = require_program("unsquashfs", "MC0118", "squashfs-tools")
    output = tmp_path / "out.sif"
    build(f"--compressor={compressor}", output, root)
    image = open_image(str(output))
    assert image.compressor == compressor
    command = [unsquashfs, "-o", str(image.offset), "-d", tmp_path / "back", output]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "back/.singularity.d/runscript").read_text() == RUNSCRIPT


def test_a_fixed_epoch_gives_the_same_bytes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    build(tmp_path / "one.sif", root)
    os.utime(root / ".singularity.d" / "runscript")
    build(tmp_path / "two.sif", root)
    assert (tmp_path / "one.sif").read_bytes() == (tmp_path / "two.sif").read_bytes()
    header, _ = objects(tmp_path / "one.sif")
    assert (header.ctime, header.id[6] >> 4, header.id[8] >> 6) == (1000000000, 8, 2)


def test_other_content_gives_another_id(root: Path, tmp_path: Path) -> None:
    build(tmp_path / "one.sif", root)
    (root / "new").write_text("new")
    build(tmp_path / "two.sif", root)
    assert objects(tmp_path / "one.sif")[0].id != objects(tmp_path / "two.sif")[0].id


def test_an_existing_file_is_replaced_by_force_alone(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.sif"
    output.write_text("precious")
    assert refused(output, root).code == "usage"
    assert output.read_text() == "precious"
    assert build("-F", output, root) == 0
    assert open_image(str(output)).kind == "sif"


def test_an_output_inside_the_tree_is_not_part_of_it(root: Path) -> None:
    output = root / "out.sif"
    build(output, root)
    first = open_image(str(output)).inodes
    build("--force", output, root)
    assert open_image(str(output)).inodes == first == 6


def test_a_failure_leaves_what_was_there(root: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.sif"
    output.write_text("precious")
    (root / ".singularity.d" / "labels.json").write_text("[1]")
    assert refused("-F", output, root).code == "usage"
    assert sorted(os.listdir(tmp_path)) == ["out.sif", "root"]
    assert output.read_text() == "precious"


def test_a_missing_mksquashfs_is_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minictr.image.programs.SYSTEM_PATH", "/absent")
    monkeypatch.setenv("PATH", str(tmp_path))
    refusal = refused(tmp_path / "out.sif", root)
    assert refusal.code == "MC0127"
    assert str(tmp_path) in refusal.proof
    assert "squashfs-tools" in refusal.fix


@pytest.mark.parametrize(
    "arguments",
    [
        ["out.sif"],
        ["out.sif", "root", "more"],
        ["--what", "out.sif", "root"],
        ["--compressor", "zip", "out.sif", "root"],
        ["--compressor"],
        ["out.sif", "/absent"],
    ],
)
def test_a_wrong_command_line_is_refused(arguments: list[str]) -> None:
    assert refused(*arguments).code == "usage"


def test_nothing_but_a_file_is_replaced(root: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for place, kind in ((tmp_path / "fifo", "FIFO"), (tmp_path, "directory")):
        assert refused("--force", place, root).cause == f"{place} is not replaced: it is a {kind}"
    assert refused("--force", "/dev/null", root).cause.endswith("it is a character device")


def test_an_epoch_that_is_no_number_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        build(tmp_path / "out.sif", root, SOURCE_DATE_EPOCH="yesterday")
    assert caught.value.code == "usage"


def test_a_standard_stream_is_refused_as_what_it_is(root: Path) -> None:
    for arguments in (("-", root), ("out.sif", "-")):
        with pytest.raises(Refusal, match=r"^- is refused: images and trees are files with a name"):
            build(*arguments)


@pytest.mark.parametrize("arguments", [[], ["out.sif"], ["out.sif", "a", "b"]])
def test_a_wrong_number_of_arguments_is_refused(arguments: list[str]) -> None:
    with pytest.raises(Refusal, match=rf"^requires 2 arg\(s\), received {len(arguments)}$"):
        build(*arguments)


@pytest.fixture
def begun(root: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """(process, unfinished file) of a build that takes long; its process group is its own."""
    with (root / "large").open("wb") as large:
        large.truncate(64 << 30)
    command = [sys.executable, "-m", "minictr", "build", str(tmp_path / "out.sif"), str(root)]
    process = subprocess.Popen(command, start_new_session=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def names() -> list[str]:
        return [Path(f"/proc/{pid}/comm").read_text() for pid in children.read_text().split()]

    while names() != ["mksquashfs\n"]:
        assert process.poll() is None
        time.sleep(0.01)
    yield process, next(tmp_path.glob(".minictr-build.*"))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def group_is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
def test_a_build_that_is_ended_leaves_nothing(
    begun: tuple[subprocess.Popen[bytes], Path], tmp_path: Path, number: int
) -> None:
    process, _ = begun
    process.send_signal(number)
    assert process.wait(20) != 0
    assert os.listdir(tmp_path) == ["root"]
    wait_until_gone(process.pid)  # mksquashfs was killed


def wait_until_gone(group: int) -> None:
    end = time.monotonic() + 10
    while group_is_there(group):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_a_killed_build_left_the_next_one_removes(
    begun: tuple[subprocess.Popen[bytes], Path], root: Path, tmp_path: Path
) -> None:
    process, left = begun
    os.utime(left, (0, 0))
    small = root / ".singularity.d"
    build(tmp_path / "other.sif", small)
    assert left.exists()  # somebody writes it
    process.kill()
    process.wait()
    wait_until_gone(process.pid)  # mksquashfs ends with who started it
    os.utime(left, (0, 0))
    build("-F", tmp_path / "other.sif", small)
    assert sorted(os.listdir(tmp_path)) == ["other.sif", "root"]
