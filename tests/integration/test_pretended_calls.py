"""A filter around minictr says that a call succeeded: there are words, an end, and nothing left."""

from __future__ import annotations

import marshal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from lab.bench import tools
from ordinary_user import RunAsUser, User
from readable import Checkout
from small_images import make_image

Run = Callable[..., subprocess.CompletedProcess[str]]
MADE = ("host", "root", "skeleton", "files")  # by the first step that builds the root


def made() -> list[Path]:
    """What of it lies in the host's /tmp; anybody may have left it."""
    return [Path("/tmp", name) for name in MADE if Path("/tmp", name).exists()]


GO = len(marshal.dumps(("go", ())))  # bytes of the word that lets a container begin


@pytest.fixture
def pretending(
    run_as_user: RunAsUser, checkout: Checkout, warm: Path, directory: Path, nothing_left: None
) -> Run:
    """pretending(calls, *arguments): minictr below a filter, in an empty directory."""
    filtered = tools(checkout.root) / "filtered"

    def run(calls: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [filtered, "--refuse", calls, "--errno", "0", "--", checkout.program, *arguments]
        env = {"MINICTR_CACHEDIR": str(warm)}
        done = run_as_user(command, env=env, cwd=directory, timeout=30)
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.mark.parametrize("options", [(), ("--no-pid",)])
@pytest.mark.parametrize(
    ("calls", "words"),
    [
        ("clone", "only pretends to carry out clone(2) with the flags of this launch [MC0204]"),
        ("clone:user", "only pretends to carry out clone(2) with CLONE_NEWUSER [MC0204]"),
        ("mount", "only pretends to carry out mount(2) [MC0406]"),
        ("pivot_root", "only pretends to carry out pivot_root(2) [MC0406]"),
        ("mount,pivot_root", "only pretends to carry out mount(2) [MC0406]"),
        ("umount2", "only pretends to carry out umount2(2) [MC0406]"),
        ("chdir,mount", "only pretends to carry out mount(2) [MC0406]"),
        ("chdir", 'pivot_root(".", "host") = EINVAL'),
        ("prctl", "only pretends to carry out prctl(2) with PR_CAPBSET_DROP [MC0506]"),
        ("write:4", 'write("/proc/'),
        (f"write:{GO}", f"0 of {GO} bytes"),
        ("execve", "/bin/true failed: "),
    ],
)
def test_a_launch_ends_with_words_and_leaves_nothing(
    pretending: Run, image: Path, directory: Path, calls: str, words: str, options: tuple[str, ...]
) -> None:
    before = made()
    done = pretending(calls, "exec", *options, image, "true")
    assert done.returncode in (125, 126, 127)
    assert done.stdout == ""
    assert done.stderr.count("minictr: error: ") == 1
    assert words in done.stderr
    assert list(directory.iterdir()) == []
    assert made() == before


@pytest.mark.parametrize(
    "calls", ["unshare", "setresuid", "capset", "seccomp", "clone3", "mount_setattr"]
)
def test_what_a_launch_goes_without_stops_nothing(
    pretending: Run, image: Path, directory: Path, calls: str
) -> None:
    done = pretending(calls, "exec", image, "echo", "ok")
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
    assert list(directory.iterdir()) == []


def test_a_directory_of_the_image_is_not_taken_for_an_old_root(
    pretending: Run, directory: Path, user: User
) -> None:
    own = make_image(directory / "own", user)
    (own / "host").mkdir()
    done = pretending("setresuid", "exec", own, "ls", "-d", "/../host")
    assert (done.returncode, done.stdout) == (0, "/../host\n"), done.stderr


def test_the_first_process_is_init_where_no_other_is_made_by_clone3(
    pretending: Run, image: Path
) -> None:
    free = ("--security", "seccomp:unconfined")  # ours answers clone3(2) with ENOSYS
    done = pretending("clone3", "exec", *free, image, "cat", "/proc/1/comm")
    assert (done.returncode, done.stdout) == (0, "minictr:init\n"), done.stderr


def test_nothing_is_unpacked_behind_a_launch_by_the_launcher_itself(
    run_as_user: RunAsUser, checkout: Checkout, sif: Path, cache: Path
) -> None:
    behind = "from minictr.image.behind import unpack_behind"
    words = repr((str(sif), str(cache), 0, "/"))
    script = f"import sys; sys.path.insert(0, {str(checkout.root)!r})\n{behind}\n"
    script += f"print(unpack_behind(*{words}))"
    command = [tools(checkout.root) / "filtered", "--refuse", "clone", "--errno", "0", "--"]
    done = run_as_user([*command, "python3", "-c", script])
    assert (done.returncode, done.stdout) == (0, "-1\n"), done.stderr
    assert not cache.exists()


def test_where_nothing_can_be_written_there_is_an_end(pretending: Run, image: Path) -> None:
    assert pretending("write", "exec", image, "true").returncode == 125


@pytest.mark.parametrize("calls", ["clone", "clone:user"])
def test_doctor_says_that_there_are_no_children(pretending: Run, calls: str) -> None:
    done = pretending(calls, "doctor")
    assert (done.returncode, done.stderr) == (1, "")
    told = {"clone": "no child could be made", "clone:user": "[MC0204]"}[calls]
    assert told in next(line for line in done.stdout.splitlines() if "user namespaces" in line)


def test_the_lab_s_filter_answers_for_the_kernel(
    run_as_user: RunAsUser, checkout: Checkout
) -> None:
    filtered = tools(checkout.root) / "filtered"
    script = "import os; print(os.write(1, b'12345'), os.write(1, b'123456'))"
    command = [filtered, "--refuse", "write:5", "--errno", "0", "--", "python3", "-c", script]
    assert run_as_user(command).stdout == "1234560 6\n"
