"""The parts of the cache: removal, manifest, locks, and the judgement of what unsquashfs said."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from minictr.image import locks, manifest, removal, storage
from minictr.image.open import Image
from minictr.image.verdict import judge, listen
from minictr.refusal import Refusal

IMAGE = Image("squashfs", "an image.sif", "", 0, 4096, "xz", 7, (1, 2, 3, 4, 5))


def tree_with_closed_directories(root: Path) -> None:
    """Directories of mode 0555 and 0000, as distributions have them, with files inside."""
    (root / "open").mkdir(parents=True)
    (root / "open" / "file").write_text("text")
    (root / "open" / "link").symlink_to("/")
    (root / "open" / "hard").hardlink_to(root / "open" / "file")
    for mode, name in ((0o555, "read-only"), (0, "closed"), (0o311, "unlisted")):
        (root / name / "deep" / "deeper").mkdir(parents=True)
        (root / name / "deep" / "deeper" / "file").write_text("four")
        (root / name / "deep").chmod(mode)
        (root / name).chmod(mode)


def test_a_tree_is_removed_whatever_the_modes_of_its_directories(tmp_path: Path) -> None:
    tree_with_closed_directories(tmp_path / "tree")
    removal.remove(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == []


def test_removal_does_not_follow_symbolic_links(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir(mode=0o755)
    (tmp_path / "precious" / "file").write_text("kept")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "directory").symlink_to(tmp_path / "precious")
    (tmp_path / "tree" / "file").symlink_to(tmp_path / "precious" / "file")
    (tmp_path / "alias").symlink_to(tmp_path / "precious")
    removal.remove(str(tmp_path / "tree"))
    removal.remove(str(tmp_path / "alias"))
    assert (tmp_path / "precious" / "file").read_text() == "kept"
    assert os.listdir(tmp_path) == ["precious"]


def test_removing_what_is_gone_is_fine(tmp_path: Path) -> None:
    removal.remove(str(tmp_path / "absent"))


def test_removal_outlasts_a_process_that_still_writes(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "a").mkdir(parents=True)
    child = os.fork()
    if child == 0:
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            try:
                (root / "a" / str(time.monotonic_ns())).touch()
            except OSError:
                pass
        os._exit(0)
    removal.remove(str(root))
    os.waitpid(child, 0)
    assert not root.exists()


def test_a_manifest_counts_hard_links_once_and_what_is_closed(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    tree_with_closed_directories(root)
    taken = manifest.take(str(root))
    assert (taken.inodes, taken.size) == (16, 4 * len("four"))
    assert (root / "closed").stat().st_mode & 0o7777 == 0
    removal.remove(str(root))


def test_an_untouched_tree_has_no_differences(tmp_path: Path) -> None:
    tree_with_closed_directories(tmp_path / "tree")
    taken = manifest.take(str(tmp_path / "tree"))
    assert list(manifest.differences(str(tmp_path / "tree"), taken.entries)) == []
    removal.remove(str(tmp_path / "tree"))


def change_content(path: Path) -> None:
    before = path.stat()
    path.write_text("TEXT")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_content, ["open/file was changed: ctime", "open/hard was changed: ctime"]),
        (lambda path: path.with_name("new").touch(), ["open/new was added"]),
        (lambda path: path.with_name("link").unlink(), ["open/link was removed"]),
        (lambda path: path.parent.chmod(0o700), ["open was changed: mode, ctime"]),
    ],
)
def test_every_change_of_a_tree_is_a_difference(tmp_path: Path, change, words) -> None:  # type: ignore[no-untyped-def]
    root = tmp_path / "tree"
    tree_with_closed_directories(root)
    taken = manifest.take(str(root))
    time.sleep(0.02)
    change(root / "open" / "file")
    assert set(words) <= set(manifest.differences(str(root), taken.entries))
    removal.remove(str(root))


def test_a_lock_that_is_held_is_not_free(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    with locks.free(str(tmp_path), "key") as first, locks.free(str(tmp_path), "key") as second:
        assert (first, second) == (True, False)
    assert os.listdir(tmp_path / "locks") == []


def test_a_waiter_says_so_and_gets_a_lock_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    said: list[str] = []
    child = os.fork()
    if child == 0:
        with locks.free(str(tmp_path), "key"):
            (tmp_path / "held").touch()
            time.sleep(0.2)
        os._exit(0)
    while not (tmp_path / "held").exists():
        time.sleep(0.005)
    with locks.image_lock(str(tmp_path), "key", "image.sif", said.append) as lock:
        path = tmp_path / "locks" / "key"
        assert os.fstat(lock).st_ino == path.stat().st_ino
    os.waitpid(child, 0)
    assert said == ["Waiting for another process that unpacks image.sif"]


def refused(words: list[str], status: int, directory: Path) -> str:
    with pytest.raises(Refusal) as caught:
        judge(status, words, IMAGE, str(directory))
    return caught.value.code


@pytest.mark.parametrize(
    ("line", "code"),
    [
        # There is space here: what it was that took no more is not known.
        ("Write on output file failed because No space left on device", "MC0000"),
        (
            "dir_scan: failed to make directory, because Disk quota exceeded",
            "MC0144",
        ),
        (
            "dir_scan: failed to make directory, because Read-only file system",
            "MC0125",
        ),
        ("Filesystem uses xz compression, this is unsupported by this version", "MC0000"),
        ("FATAL ERROR: writer: failed to read/uncompress file a", "MC0120"),
        ("Read on filesystem failed because EOF", "MC0120"),
        ("File system corrupted: invalid characters in name", "MC0120"),
        ("Read on filesystem failed because Input/output error", "MC0000"),
        ("something new", "MC0000"),
    ],
)
def test_the_words_of_unsquashfs_decide(tmp_path: Path, line: str, code: str) -> None:
    assert refused([line], 1, tmp_path) == code


def test_a_disk_that_cannot_be_read_is_no_damage() -> None:
    words = [
        "Read on filesystem failed because Input/output error",
        "read_block: failed to read block @0x10c65e",
        "FATAL ERROR: File system corruption detected",
    ]
    with pytest.raises(Refusal) as caught:
        judge(1, words, IMAGE, "/")
    assert (caught.value.code, caught.value.fix) == ("MC0000", "")
    assert caught.value.cause.endswith(" cannot be read: read(2) returned EIO")


def test_damaged_data_is_refused_where_an_old_unsquashfs_ends_with_0(tmp_path: Path) -> None:
    assert refused(["writer: failed to read/uncompress file a"], 0, tmp_path) == "MC0120"


def test_a_killed_unsquashfs_is_no_cause(tmp_path: Path) -> None:
    assert refused([], -9, tmp_path) == "MC0000"


def test_device_nodes_are_left_out_without_a_word() -> None:
    lines = [
        "create_inode: could not create block device r/d, because you're not superuser!\n",
        "create_inode: could not create character device r/d, because you're not superuser!\n",
        "create_inode: failed to create character device r/d, because Operation not permitted\n",
        "create_inode: failed to change uid and gids on r/d, because Invalid argument\n",
        "\n",
    ]
    absent, words = listen(lines)
    assert (absent, words) == (3, [])
    judge(2, words, IMAGE, "/")


def test_a_file_name_cannot_pass_for_an_error_number(tmp_path: Path) -> None:
    line = "create_inode: failed to create symlink because No space left on device, because Huh"
    assert refused([line], 1, tmp_path) == "MC0000"


@pytest.mark.parametrize(
    ("number", "code", "proof"),
    [
        (errno.EACCES, "MC0000", "EACCES"),  # every mode allows it: what denies it is unknown
        (errno.EROFS, "MC0125", "EROFS"),
        (errno.EDQUOT, "MC0144", "bytes are free"),
        (errno.EIO, "MC0000", "EIO"),
    ],
)
def test_a_stopped_write_is_proved(tmp_path: Path, number: int, code: str, proof: str) -> None:
    tmp_path.chmod(0o750)
    refusal = storage.stopped(number, str(tmp_path / "cache" / "deep"))
    assert refusal.code == code
    assert proof in refusal.proof
    assert str(tmp_path) in refusal.proof
