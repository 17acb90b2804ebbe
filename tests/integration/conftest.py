"""Gives the integration tests an image to launch and short ways to look around in it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asked_why import why as why
from ordinary_user import RunAsUser, User, all_processes, credentials
from readable import Checkout
from small_images import give, make_image, make_python_image

PIPES = {**dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE), "text": True}
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


@pytest.fixture(scope="session")
def warm(user: User, room: Path) -> Path:
    """A cache that the tests share which are not about the cache."""
    path = room / "warm"
    path.mkdir(mode=0o700)
    return give(path, user)


@pytest.fixture(scope="session")
def image(user: User, room: Path) -> Path:
    """A small image with every applet of busybox; nobody writes to it."""
    return make_image(room / "image", user)


@pytest.fixture(scope="session")
def sif(checkout: Checkout) -> Path:
    """A small SIF that apptainer made."""
    return checkout.root / "tests/data/images/bb-gzip.sif"


@pytest.fixture(scope="session")
def python_image(user: User, room: Path) -> Path:
    """An image with the host's python3: launch it with `-B /usr`."""
    return make_python_image(room / "python-image", user)


@pytest.fixture(scope="session")
def dropin(run_as_user: RunAsUser, checkout: Checkout, user: User, room: Path) -> Path:
    """A directory with singularity, apptainer and run-singularity, which are minictr."""
    path = room / "dropin"
    path.mkdir()
    give(path, user)
    done = run_as_user([checkout.program, "drop-in", path])
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="session")
def apptainer(dropin: Path) -> Path:
    """The program under a drop-in name."""
    return dropin / "apptainer"


@pytest.fixture
def sh(
    run_as_user: RunAsUser, checkout: Checkout, image: Path, warm: Path, nothing_left: None
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """sh(script, *options, image=..., program=..., env=..., cwd=...): run a script in the image."""

    def run(
        script: str,
        *options: str | Path,
        image: Path | str = image,
        program: Path = checkout.program,
        env: dict[str, str] | None = None,
        **more: object,
    ) -> subprocess.CompletedProcess[str]:
        environ = {"MINICTR_CACHEDIR": str(warm), **(env or {})}
        command = [program, "exec", *options, image, "sh", "-c", script]
        return run_as_user(command, env=environ, **more)

    return run


@pytest.fixture
def inside(sh: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., str]:
    """inside(script, *options, ...): what the script printed; it has to succeed."""

    def run(script: str, *options: str | Path, **more: object) -> str:
        done = sh(script, *options, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def start(
    user: User, checkout: Checkout, image: Path, warm: Path, nothing_left: None
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """start(script, *options, ...): a launch that is going on, with pipes; ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def launch(
        script: str,
        *options: str,
        image: Path = image,
        program: Path = checkout.program,
        **more: object,
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [program, "exec", *options, image, "sh", "-c", script],
            **{**PIPES, "cwd": user.home, "env": environment(user, warm), **credentials(user)}
            | more,
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def environment(user: User, cache: Path) -> dict[str, str]:
    """What a login sets, and where the cache is."""
    return {
        "HOME": str(user.home),
        "USER": user.name,
        "PATH": SYSTEM_PATH,
        "MINICTR_CACHEDIR": str(cache),
    }


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], object], str], None]:
    """eventually(condition, what): wait until the condition holds, 20 seconds at most."""

    def wait(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s: {what}"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def descendants() -> Callable[[int], dict[int, str]]:
    """descendants(pid): {pid: name} of all its children and theirs, as the host sees them."""

    def parents() -> dict[int, tuple[int, str]]:
        found = {}
        for pid in all_processes():
            try:
                text = Path(f"/proc/{pid}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            name, _, rest = text.partition("(")[2].rpartition(")")
            found[pid] = (int(rest.split()[1]), name)
        return found

    def find(ancestor: int) -> dict[int, str]:
        table = parents()
        family = {ancestor}
        while more := {pid for pid, (parent, _) in table.items() if parent in family} - family:
            family |= more
        return {pid: table[pid][1] for pid in family - {ancestor}}

    return find


@pytest.fixture
def place(directory: Path, user: User) -> Path:
    """A directory of the user's with a file in it."""
    path = directory / "place"
    path.mkdir()
    (path / "file").write_text("here\n")
    return give(path, user)
