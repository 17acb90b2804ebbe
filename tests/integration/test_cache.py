"""The cache under fire: killed, crowded, full, read-only; and what `minictr build` wrote, run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from image_files import IMAGES, PARTITION_AT, patched, shared
from ordinary_user import User, credentials
from readable import Checkout
from skipping import require, require_program

from minictr.image import index, inventory

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
KILLS = int(os.environ.get("MINICTR_TEST_KILLS", "20"))
ROOT = os.geteuid() == 0

# Prints the tree or the refusal as JSON; with "hold" it keeps the tree until its stdin ends.
DRIVER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from minictr.image.cache import ensure
from minictr.refusal import Refusal
def say(text):
    print(text, file=sys.stderr, flush=True)
try:
    tree = ensure(sys.argv[2], sys.argv[3], say, False)
except Refusal as refusal:
    names = ("code", "cause", "proof", "fix")
    print(json.dumps({name: getattr(refusal, name) for name in names}))
    sys.exit(125)
print(json.dumps({"root": tree.root, "name": tree.name}), flush=True)
if "hold" in sys.argv:
    sys.stdin.read()
"""

Start = Callable[..., "subprocess.Popen[str]"]
Answer = dict[str, str]


@pytest.fixture
def start(user: User, checkout: Checkout, directory: Path) -> Start:
    """start(image, cache, *words, prefix=(), path=""): the driver as the ordinary user."""
    require_program("unsquashfs", "MC0118", "squashfs-tools")
    python = os.path.realpath(sys.executable)

    def run(
        image: Path, cache: Path, *words: str, prefix: tuple[str, ...] = (), path: str = ""
    ) -> subprocess.Popen[str]:
        command = [*prefix, python, "-I", "-S", "-c", DRIVER, str(checkout.root)]
        return subprocess.Popen(
            [*command, str(image), str(cache), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
            env={"PATH": f"{path}:{SYSTEM_PATH}", "HOME": str(directory)},
            **credentials(user),  # type: ignore[arg-type]
        )

    return run


def answer(process: subprocess.Popen[str]) -> Answer:
    """What the driver printed, once it has ended."""
    out, err = process.communicate(timeout=120)
    assert out, err
    result: Answer = json.loads(out)
    return result


@pytest.fixture(scope="session")
def large(room: Path) -> Path:
    """A squashfs of 3000 files with directories of mode 0555 and 0000, and device nodes."""
    program = require_program("mksquashfs", "MC0127", "squashfs-tools")
    source = room / "large"
    for number in range(3000):
        path = source / f"d{number % 50}" / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(number).randbytes(2000))
    devices = ["null c 666 0 0 1 3", "disk b 600 0 0 7 0", "d1 m 555 0 0", "d2 m 0 0 0"]
    pseudo = [word for device in devices for word in ("-p", device)]
    image = room / "large.sqfs"
    subprocess.run(
        [program, source, image, "-noappend", "-quiet", "-no-progress", *pseudo],
        check=True,
        capture_output=True,
    )
    return image


@pytest.fixture
def image(directory: Path, user: User) -> Path:
    """A small SIF of the user's own."""
    path = directory / "image.sif"
    shutil.copy(IMAGES / "bb-gzip.sif", path)
    os.chown(path, user.uid, user.gid)
    return path


def trees(cache: Path) -> list[Path]:
    return sorted((cache / "trees").glob("*"))


def leftovers(cache: Path) -> list[str]:
    return [str(path) for part in ("tmp", "locks") for path in (cache / part).glob("*")]


def entry(name: str, paths: Iterator[Path]) -> inventory.Cached:
    directory = next(path for path in paths if path.name == name)
    return inventory.Cached(name, str(directory), 0, 0, 0.0, False, (), True)


def wrapped_unsquashfs(directory: Path, script: str) -> Path:
    """A directory with an `unsquashfs` that does something first, then runs the real one."""
    real = shutil.which("unsquashfs", path=SYSTEM_PATH)
    place = directory / "wrapped"
    place.mkdir()
    program = place / "unsquashfs"
    program.write_text(f'#!/bin/sh\n{script}\nexec {real} "$@"\n')
    program.chmod(0o755)
    return place


def test_sixteen_at_once_unpack_once(
    start: Start, directory: Path, cache: Path, image: Path, user: User
) -> None:
    log = directory / "log"
    log.touch()
    os.chown(log, user.uid, user.gid)
    path = wrapped_unsquashfs(directory, f"echo run >> {log}; sleep 0.5")
    running = [start(image, cache, path=str(path)) for _ in range(16)]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in running]
    assert {status for *_, status in ended} == {0}
    assert len({json.loads(out)["root"] for out, *_ in ended}) == 1
    assert log.read_text() == "run\n"
    assert sum("Waiting for another process" in err for _, err, _ in ended) >= 1
    assert leftovers(cache) == []


def test_two_files_of_one_content_share_a_tree(
    start: Start, cache: Path, image: Path, directory: Path
) -> None:
    shutil.copy2(image, directory / "copy.sif")
    shutil.copymode(image, directory / "copy.sif")
    both = [start(image, cache), start(directory / "copy.sif", cache)]
    assert len({answer(process)["root"] for process in both}) == 1
    assert len(trees(cache)) == 1
    assert len(list((cache / "index").iterdir())) == 2
    assert leftovers(cache) == []


def test_a_known_content_is_not_unpacked_again(
    start: Start, cache: Path, image: Path, directory: Path
) -> None:
    first = answer(start(image, cache))
    path = wrapped_unsquashfs(directory, "exit 99")
    image.chmod(0o600)  # sets the ctime, as touch and cp do
    assert answer(start(image, cache, path=str(path))) == first


def test_a_tampered_copy_gets_its_own_tree(start: Start, cache: Path, image: Path) -> None:
    """Same path, same size, same mtime: the content decides, and it is found again."""
    times = image.stat()
    raw = image.read_bytes()
    names = []
    for content in (raw, patched(raw, PARTITION_AT + 8, b"\1"), raw):  # the time of creation
        image.write_bytes(content)
        os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
        names.append(answer(start(image, cache))["name"])
    assert names[0] == names[2] != names[1]
    assert len(trees(cache)) == 2


def test_damaged_data_is_refused_and_leaves_nothing(start: Start, cache: Path, image: Path) -> None:
    raw = bytearray(image.read_bytes())
    raw[200_000:200_100] = bytes(100)
    image.write_bytes(raw)
    refusal = answer(start(image, cache))
    assert refusal["code"] == "MC0120"
    assert "uncompress failed" in refusal["proof"]
    assert trees(cache) == []
    assert leftovers(cache) == []


def test_device_nodes_and_closed_directories_are_no_obstacle(
    start: Start, cache: Path, large: Path
) -> None:
    tree = Path(answer(start(large, cache))["root"])
    assert list(inventory.verify(entry(tree.parent.name, iter([tree.parent])))) == []
    assert not (tree / "null").exists()
    assert not (tree / "disk").exists()
    assert (tree / "d1").stat().st_mode & 0o777 == 0o555
    assert (tree / "d2").stat().st_mode & 0o777 == 0
    assert len(list((tree / "d1").iterdir())) == 60


def test_a_kill_at_any_moment_shows_no_part_of_a_tree(
    start: Start, cache: Path, large: Path
) -> None:
    began = time.monotonic()
    whole = answer(start(large, cache))
    duration = time.monotonic() - began
    killed = 0
    for seed in range(KILLS):
        shutil_remove(cache / "trees")
        process = start(large, cache)
        time.sleep(random.Random(seed).uniform(0.02, duration))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        for tree in trees(cache):
            assert tree.name == whole["name"]
            assert list(inventory.verify(entry(tree.name, iter([tree])))) == []
    assert killed > KILLS // 2
    assert answer(start(large, cache)) == whole
    assert leftovers(cache) == []


def shutil_remove(path: Path) -> None:
    from minictr.image.removal import remove

    remove(str(path))


def test_unsquashfs_ends_with_a_killed_launcher(
    start: Start, cache: Path, image: Path, directory: Path, user: User
) -> None:
    note = directory / "pid"
    note.touch()
    os.chown(note, user.uid, user.gid)
    path = wrapped_unsquashfs(directory, f"echo $$ > {note}; exec sleep 60")
    process = start(image, cache, path=str(path))
    while not note.read_text().endswith("\n"):
        time.sleep(0.01)
    unpacker = int(note.read_text())
    assert unpacker in user.processes()
    process.kill()
    process.communicate()
    end = time.monotonic() + 2
    while unpacker in user.processes() and time.monotonic() < end:
        time.sleep(0.01)
    assert unpacker not in user.processes()


def test_a_stale_temporary_is_removed_by_the_next_miss_alone(
    start: Start, cache: Path, image: Path, user: User
) -> None:
    answer(start(image, cache))
    stale = cache / "tmp" / f"1-2-3-4-5.99999-0.{os.uname().nodename}"
    (stale / "root" / "closed" / "deep").mkdir(parents=True)
    for path in (stale / "root" / "closed" / "deep", stale / "root" / "closed", stale):
        os.chown(path, user.uid, user.gid)
        path.chmod(0)
    os.chown(stale / "root", user.uid, user.gid) if ROOT else None
    answer(start(image, cache))
    assert stale.exists()
    shutil_remove(cache / "trees")
    (cache / "trees").mkdir(mode=0o700)
    os.chown(cache / "trees", user.uid, user.gid)
    answer(start(image, cache))
    assert not stale.exists()


def test_a_temporary_in_use_stays(
    start: Start, cache: Path, image: Path, large: Path, directory: Path
) -> None:
    path = wrapped_unsquashfs(directory, "sleep 1.5")
    slow = start(large, cache, path=str(path))
    while not list(cache.glob("tmp/*")):
        time.sleep(0.01)
    answer(start(image, cache))
    assert list(cache.glob("tmp/*"))
    assert "root" in answer(slow)
    assert len(trees(cache)) == 2


def mounted(options: str, then: str = "true") -> tuple[str, ...]:
    """The beginning of a command line that runs the rest with a tmpfs mounted at its last word."""
    script = (
        f'for at; do :; done; mount -t tmpfs -o "{options}" tmpfs "$at" && {then} || exit 99; "$@"'
    )
    script += '; status=$?; find "$at" -mindepth 2 >&2; exit $status'
    return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")


def can_mount(user: User) -> bool:
    command = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return subprocess.run(command, capture_output=True, **credentials(user)).returncode == 0


@pytest.mark.parametrize(
    ("options", "then", "code", "words"),
    [
        ("size=600k,mode=700", "true", "MC0121", "bytes are free"),
        ("nr_inodes=100,mode=700", "true", "MC0122", "superblock"),
        ("mode=700", 'mount -o remount,bind,ro "$at"', "MC0125", "ST_RDONLY"),
        ("mode=777", "true", "MC0126", "mode 0777"),
    ],
)
def test_what_stops_the_cache_is_named_and_nothing_is_left(
    start: Start,
    user: User,
    cache: Path,
    image: Path,
    options: str,
    then: str,
    code: str,
    words: str,
) -> None:
    require(can_mount(user), "MC0201", "user namespaces are refused here")
    cache.mkdir()
    os.chown(cache, user.uid, user.gid)
    process = start(image, cache, prefix=mounted(options, then))
    out, err = process.communicate(timeout=60)
    refusal = json.loads(out)
    assert refusal["code"] == code, refusal
    assert str(cache) in refusal["cause"]
    assert words in refusal["proof"]
    assert "MINICTR_CACHEDIR" in refusal["fix"] or "chmod" in refusal["fix"]
    assert err == ""


def test_inodes_that_run_out_on_the_way_are_told_from_space(
    start: Start, user: User, cache: Path, image: Path, directory: Path
) -> None:
    """Another process takes the inodes after the look at them, before they are used."""
    require(can_mount(user), "MC0201", "user namespaces are refused here")
    cache.mkdir()
    os.chown(cache, user.uid, user.gid)
    path = wrapped_unsquashfs(
        directory, f'n=0; while [ $n -lt 300 ]; do : > "{cache}/f$n" || break; n=$((n+1)); done'
    )
    process = start(image, cache, prefix=mounted("nr_inodes=500,mode=700"), path=str(path))
    out, _ = process.communicate(timeout=60)
    refusal = json.loads(out)
    assert refusal["code"] == "MC0122", refusal
    assert "0 of 500 inodes" in refusal["proof"]


def test_a_directory_that_is_not_writable_is_refused(
    start: Start, directory: Path, image: Path, user: User
) -> None:
    require(user.uid != 0, "ROOT", "a user who is root may write everywhere")
    closed = directory / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    refusal = answer(start(image, closed / "cache"))
    assert refusal["code"] == "MC0124"
    assert "mode 0555" in refusal["proof"]


def test_a_missing_unsquashfs_is_named(
    start: Start, cache: Path, image: Path, checkout: Checkout, user: User
) -> None:
    require(can_mount(user), "MC0201", "user namespaces are refused here")
    hide = 'for p in /usr/local/bin /usr/bin /bin; do test -e "$p/unsquashfs" && '
    hide += 'mount --bind /dev/null "$p/unsquashfs"; done; exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", hide, "sh")
    refusal = answer(start(image, cache, prefix=prefix))
    assert refusal["code"] == "MC0118"
    assert "/usr/bin" in refusal["proof"]
    assert "squashfs-tools" in refusal["fix"]


@pytest.fixture
def command(
    user: User, checkout: Checkout, cache: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """command(*words): `minictr cache WORDS` as the user; a refusal gives status 125."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from minictr.cli import cache; from minictr.refusal import Refusal\n"
        "try: sys.exit(cache.main(sys.argv[3:], {'MINICTR_CACHEDIR': sys.argv[2]}))\n"
        "except Refusal as refusal: sys.exit(125 if refusal.code == 'usage' else 126)\n"
    )
    base = [os.path.realpath(sys.executable), "-I", "-S", "-c", code, str(checkout.root)]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*base, str(cache), *words],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **credentials(user),  # type: ignore[arg-type]
        )

    return run


Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_list_names_tree_image_and_use(
    start: Start, command: Command, cache: Path, image: Path
) -> None:
    holder = start(image, cache, "hold")
    assert holder.stdout
    name = json.loads(holder.stdout.readline())["name"]
    listed = json.loads(command("list", "--json").stdout)
    assert [(each["name"], each["in_use"], each["images"]) for each in listed] == [
        (name, True, [str(image)])
    ]
    assert (listed[0]["inodes"], listed[0]["bytes"] > 1_000_000) == (326, True)
    holder.communicate("")
    table = command("list").stdout
    assert table.splitlines()[1].split()[0] == name[:12]
    assert str(image) in table


def test_clean_removes_no_tree_that_a_container_uses(
    start: Start, command: Command, cache: Path, image: Path
) -> None:
    holder = start(image, cache, "hold")
    assert holder.stdout
    name = json.loads(holder.stdout.readline())["name"]
    everything, named = command("clean", "--all"), command("clean", name[:8])
    assert (everything.returncode, named.returncode) == (0, 1)
    assert "in use" in everything.stderr
    assert len(trees(cache)) == 1
    holder.communicate("")
    assert command("clean", name[:8]).returncode == 0
    assert trees(cache) == []
    assert list((cache / "index").iterdir()) == []
    assert leftovers(cache) == []


def test_clean_alone_keeps_what_an_image_still_leads_to(
    start: Start, command: Command, cache: Path, image: Path
) -> None:
    answer(start(image, cache))
    assert command("clean").stdout == ""
    assert len(trees(cache)) == 1
    image.unlink()
    assert "removed" in command("clean").stdout
    assert trees(cache) == []


def test_verify_names_the_first_difference(
    start: Start, command: Command, cache: Path, image: Path
) -> None:
    tree = Path(answer(start(image, cache))["root"])
    unchanged = command("verify")
    assert (unchanged.returncode, unchanged.stdout.split()[-1]) == (0, "unchanged")
    (tree / "bin" / "busybox").write_bytes(b"evil")
    differs = command("verify")
    assert differs.returncode == 1
    assert "  bin/busybox was changed: size, mtime, ctime" in differs.stdout.splitlines()


def test_a_tree_is_found_again_after_clean(
    start: Start, command: Command, cache: Path, image: Path
) -> None:
    first = answer(start(image, cache))
    command("clean", "--all")
    assert answer(start(image, cache)) == first


@pytest.mark.parametrize(
    "words", [("what",), ("clean", "--some"), ("list", "x"), ("clean", "ff"), ("verify", "--all")]
)
def test_a_wrong_command_line_is_a_usage_error(
    start: Start, command: Command, cache: Path, image: Path, words: tuple[str, ...]
) -> None:
    answer(start(image, cache))
    assert command(*words).returncode == 125


def test_an_absent_cache_is_an_empty_one(command: Command, cache: Path) -> None:
    assert json.loads(command("list", "--json").stdout) == []
    assert command("clean", "--all").returncode == 0
    assert command("verify").returncode == 0
    assert not cache.exists()


def test_a_launch_finds_what_was_unpacked(start: Start, cache: Path, image: Path) -> None:
    name = answer(start(image, cache))["name"]
    if os.geteuid() == os.stat(cache).st_uid:
        tree = index.find(str(image), str(cache))
        assert tree
        assert tree.name == name
        os.close(tree.lock)
    else:
        assert index.find(str(image), str(cache)) is None  # it is not ours to trust


def apptainer() -> Callable[[Path, str], subprocess.CompletedProcess[str]]:
    """run(image, words): real apptainer, installed or in the peers' root; skips without one."""
    if shutil.which("apptainer"):
        return lambda image, words: subprocess.run(
            ["apptainer", *words.replace("IMAGE", str(image)).split()],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    folder = shared()
    peers = Path(os.environ.get("PEERS_ROOT", "/var/lib/peers"), "usr/bin/apptainer")
    require(folder and peers.exists(), "PEERS", "neither apptainer nor the peers' root is here")
    require(ROOT, "ROOT", "only root enters the peers' root")

    def run(image: Path, words: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", f"{folder}/lab/peers", "run", "-u", "tester", "apptainer"]
        environ = {**os.environ, "LAB": str(image.parent)}
        words = words.replace("IMAGE", f"/lab/{image.name}")
        return subprocess.run(
            [*command, *words.split()], capture_output=True, text=True, check=False, env=environ
        )

    return run


def test_apptainer_lists_and_runs_the_example_image(checkout: Checkout, room: Path) -> None:
    run = apptainer()
    require_program("mksquashfs", "MC0127", "squashfs-tools")
    require(Path("/bin/busybox").exists(), "BUSYBOX", "busybox-static is not installed")
    place = room / "example"
    shutil.copytree(
        checkout.root / "images", place / "images", ignore=shutil.ignore_patterns("*.sif")
    )
    (place / "minictr").symlink_to(checkout.root / "minictr")
    subprocess.run([sys.executable, place / "images" / "build"], check=True, capture_output=True)
    image = place / "images" / "hello.sif"
    place.joinpath("images").chmod(0o755)
    listed = run(image, "sif list IMAGE").stdout
    for kind in ("Def.FILE", "JSON.Generic", "FS (Squashfs/*System/"):
        assert kind in listed
    assert "Hello from hello.sif" in run(image, "run IMAGE one two").stdout
    assert run(image, "run IMAGE one two").stdout.endswith(": one two\n")
    assert run(image, "exec IMAGE cat /.singularity.d/labels.json").returncode == 0
    inspected = run(image, "inspect IMAGE")
    assert "org.opencontainers.image.title: hello" in inspected.stdout
    assert "No SIF metadata" not in inspected.stderr
