"""Descriptors: closed under the own name, inherited under the drop-in names, never our own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from skipping import require

Sh = Callable[..., subprocess.CompletedProcess[str]]
# The shell's glob opens one descriptor more, so each is asked for by its number.
LOOK = "for n in $(seq 0 40); do test -e /proc/self/fd/$n && printf '%s ' $n; done; true"


@pytest.fixture
def with_descriptors(
    run_as_user: Sh, checkout: object, image: Path, warm: Path, nothing_left: None, directory: Path
) -> Callable[..., str]:
    """Launch with descriptors 3, 5 and 17 open on a file and give what the script printed."""

    def run(
        script: str,
        *options: str,
        program: object = None,
        redirect: str = "",
        env: dict[str, str] | None = None,
    ) -> str:
        file = directory / "inherited"
        file.write_text("secret\n")
        file.chmod(0o644)
        words = " ".join(options)
        chosen = program or checkout.program  # type: ignore[attr-defined]
        line = f'exec "$1" exec {words} "$2" sh -c "$3" 3<{file} 5<{file} 17<{file} {redirect}'
        done = run_as_user(
            ["bash", "-c", line, "bash", chosen, image, script],
            env={"MINICTR_CACHEDIR": str(warm), **(env or {})},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_all_but_the_first_three_are_closed(with_descriptors: Callable[..., str]) -> None:
    assert with_descriptors(LOOK).split() == ["0", "1", "2"]


def test_the_first_few_are_kept_when_asked_for(with_descriptors: Callable[..., str]) -> None:
    assert with_descriptors(LOOK, "--preserve-fds", "1").split() == ["0", "1", "2", "3"]
    assert with_descriptors(LOOK, "--preserve-fds=3").split() == ["0", "1", "2", "3", "5"]
    assert with_descriptors("cat <&5", "--preserve-fds=3") == "secret\n"
    assert "17" in with_descriptors(LOOK, "--preserve-fds=999999999").split()


def test_the_one_through_which_a_parallel_job_is_started_is_kept(
    with_descriptors: Callable[..., str],
) -> None:
    assert with_descriptors(LOOK, env={"PMI_FD": "5"}).split() == ["0", "1", "2", "5"]


def test_they_are_inherited_under_a_drop_in_name(
    with_descriptors: Callable[..., str], apptainer: Path
) -> None:
    for options in ((), ("--pid",), ("--fakeroot",)):
        seen = with_descriptors(LOOK, *options, program=apptainer).split()
        assert seen == ["0", "1", "2", "3", "5", "17"]
    assert with_descriptors("cat <&5", program=apptainer) == "secret\n"


def test_no_descriptor_of_the_launcher_reaches_the_payload_of_a_sif(
    minictr: Sh, sif: Path, apptainer: Path, run_as_user: Sh, cache: Path
) -> None:
    for _ in ("cold", "warm"):
        assert minictr("exec", sif, "sh", "-c", LOOK).stdout.split() == ["0", "1", "2"]
    done = run_as_user(
        [apptainer, "exec", sif, "sh", "-c", LOOK], env={"MINICTR_CACHEDIR": str(cache)}
    )
    assert done.stdout.split() == ["0", "1", "2"]


def test_the_init_holds_none_either(
    start: Callable[..., subprocess.Popen[str]],
    descendants: Callable[[int], dict[int, str]],
    eventually: Callable[[Callable[[], object], str], None],
) -> None:
    process = start("echo up; cat")
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    init = next(pid for pid, name in descendants(process.pid).items() if name == "minictr:init")
    held = Path(f"/proc/{init}/fd")
    # Its files in /proc belong to root: be_unreadable.
    require(os.access(held, os.R_OK), "ROOT", "only root can look at the init's descriptors")

    def standard_only() -> bool:
        return {int(path.name) for path in held.iterdir()} == {0, 1, 2}

    eventually(standard_only, "the init has closed the channel, once the command ran")


@pytest.mark.parametrize("redirect", ["<&-", ">&- 2>&-", "<&- 2>&-"])
def test_a_launch_with_closed_standard_descriptors(
    with_descriptors: Callable[..., str], directory: Path, redirect: str
) -> None:
    where = directory / "said"
    with_descriptors(f"echo ran > {where}", redirect=redirect)
    assert where.read_text() == "ran\n"


def test_standard_streams_are_separate_and_transparent(sh: Sh) -> None:
    done = sh("cat; echo error >&2", stdin="from\0outside\n")
    assert (done.stdout, done.stderr) == ("from\0outside\n", "error\n")


@pytest.mark.parametrize("last", range(3, 11))
def test_a_long_script_is_heard_whatever_the_caller_has_open(
    run_as_user: Sh, apptainer: Path, image: Path, warm: Path, last: int
) -> None:
    """Descriptors 8 and 9 carry it to the shell, and what that answers."""
    redirects = " ".join(f"{number}</dev/null" for number in range(3, last + 1))
    line = 'long=$(head -c 70000 /dev/zero | tr "\\0" x); exec "$@" --env "A=$long" --env "B=$long"'
    words = f"{line} --env 'C=$(echo y)' \"$image\" sh -c 'echo ${{#A}} $C' {redirects}"
    done = run_as_user(
        ["bash", "-c", words, "bash", apptainer, "exec"],
        env={"MINICTR_CACHEDIR": str(warm), "image": str(image)},
    )
    assert (done.stdout, done.stderr) == ("70000 y\n", "")
