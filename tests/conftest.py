"""Gives every test an ordinary user, the program as that user runs it, and a clean host."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from leftovers import left, traces
from ordinary_user import RunAsUser, User, current_user, make_user, remove_user, runner
from readable import Checkout, readable_checkout
from skipping import count_by_code

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

# A shell starts what it runs in the background with these ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

hypothesis.settings.register_profile("short", max_examples=100, deadline=None)
hypothesis.settings.register_profile("long", max_examples=20_000, deadline=None)
hypothesis.settings.load_profile("short")


@pytest.fixture(scope="session")
def user() -> Iterator[User]:
    """The ordinary user: the developer, or where root runs the tests an account made for them."""
    if os.geteuid() != 0:
        yield current_user()
        return
    made = make_user()
    yield made
    remove_user(made.name)


@pytest.fixture(scope="session")
def room(user: User) -> Iterator[Path]:
    """A directory of the whole test run's, which the user may read."""
    with tempfile.TemporaryDirectory(prefix="tests-of-minictr-", dir="/tmp") as path:
        os.chmod(path, 0o755)
        yield Path(path)


@pytest.fixture(scope="session")
def checkout(user: User, room: Path) -> Checkout:
    """The project and its program, where the user can read and run them."""
    return readable_checkout(user, room)


@pytest.fixture(scope="session")
def run_as_user(user: User, checkout: Checkout) -> RunAsUser:
    """run_as_user(argv, env=None, cwd=None, stdin=None, timeout=60) -> CompletedProcess[str]."""
    return runner(user, f"{checkout.program.parent}:{SYSTEM_PATH}")


@pytest.fixture(scope="session")
def fuse() -> Iterator[bool]:
    """Whether the ordinary user may open /dev/fuse; root sees to it, as udev does elsewhere."""
    device = Path("/dev/fuse")
    if not device.exists():
        yield False
        return
    mode = stat.S_IMODE(device.stat().st_mode)
    if os.geteuid() == 0:
        device.chmod(0o666)
    yield os.geteuid() == 0 or mode & 0o006 == 0o006
    if os.geteuid() == 0:
        device.chmod(mode)


@pytest.fixture
def directory(user: User) -> Iterator[Path]:
    """An empty directory of the user's, removed after the test."""
    path = Path(tempfile.mkdtemp(prefix="tests-of-minictr-", dir="/tmp"))
    path.chmod(0o755)
    os.chown(path, user.uid, user.gid)
    yield path
    remove_tree(path)


@pytest.fixture
def cache(directory: Path) -> Path:
    """Where the program of this test keeps its cache; the program makes it."""
    return directory / "cache"


@pytest.fixture
def nothing_left(user: User, cache: Path) -> Iterator[None]:
    """Fail the test if a mount, a process or a temporary file of the user's outlives it."""
    before = traces(user, cache)
    yield
    assert not (rest := left(user, cache, before)), f"left behind: {rest}"


@pytest.fixture
def minictr(
    run_as_user: RunAsUser, checkout: Checkout, cache: Path, nothing_left: None
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """minictr(*arguments, env=None, ...): run the program as the user, with a cache of its own."""

    def run(
        *arguments: str | Path, env: dict[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess[str]:
        environ = {"MINICTR_CACHEDIR": str(cache), **(env or {})}
        return run_as_user([checkout.program, *arguments], env=environ, **options)

    return run


def remove_tree(path: Path) -> None:
    """Remove a directory with trees in it that hold directories of mode 0555 and 0000."""
    for current, directories, _ in os.walk(path):
        for name in directories:
            child = Path(current, name)
            if not child.is_symlink():
                child.chmod(0o700)
    shutil.rmtree(path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests each cause kept from running."""
    for code, count in count_by_code(terminalreporter.stats.get("skipped", [])).items():
        terminalreporter.write_line(f"not run because of {code}: {count}")
