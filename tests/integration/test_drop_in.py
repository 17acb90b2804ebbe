"""The drop-in names: what clients of Singularity and Apptainer rely on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from image_files import shared
from ordinary_user import User
from readable import Checkout
from skipping import require
from small_images import give

Sh = Callable[..., subprocess.CompletedProcess[str]]
NAMES = ("singularity", "apptainer", "run-singularity")


def test_drop_in_writes_the_three_names(dropin: Path) -> None:
    assert {path.name for path in dropin.iterdir()} == set(NAMES)


def test_where_no_file_can_be_written_the_limit_is_named_and_nothing_is_left(
    run_as_user: Sh, checkout: Checkout, directory: Path
) -> None:
    done = run_as_user(["prlimit", "--fsize=0", checkout.program, "drop-in", directory])
    assert (done.returncode, done.stdout) == (125, "")
    assert f"error: {directory}/singularity cannot be written: File too large\n" in done.stderr
    assert "RLIMIT_FSIZE is 0 bytes" in done.stderr
    assert "[MC0412]" in done.stderr
    assert not list(directory.iterdir())


@pytest.mark.parametrize("name", NAMES[:2])
def test_the_version_is_one_line_that_clients_can_read(
    run_as_user: Sh, dropin: Path, name: str
) -> None:
    done = run_as_user([dropin / name, "--version"])
    assert done.returncode == 0
    assert re.fullmatch(r"(.+) version [0-9]+\.[0-9]+\.[0-9]+\n", done.stdout)
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+\n", run_as_user([dropin / name, "version"]).stdout)


def test_the_names_are_found_by_path_and_by_link(
    run_as_user: Sh, dropin: Path, image: Path, warm: Path, directory: Path
) -> None:
    env = {"PATH": f"{dropin}:/usr/bin:/bin", "MINICTR_CACHEDIR": str(warm)}
    assert run_as_user(["sh", "-c", f"apptainer exec {image} echo ok"], env=env).stdout == "ok\n"


def test_the_command_lines_of_clients(
    run_as_user: Sh, dropin: Path, image: Path, warm: Path, directory: Path, user: User
) -> None:
    """argv as snakemake, cwltool, nextflow, miniwdl, Galaxy and HTCondor build it."""
    for name in ("work", "tmp", "var_tmp", "out"):
        give_directory(directory / name, user)
    d = directory
    lines = (
        f"singularity exec --home '{d}/work' --bind {d}:/mnt/snakemake {image} sh -c 'echo ok'",
        f"apptainer exec --cwd '{d}' --bind '{d}/tmp':'{d}/tmp' --bind '{d}':'{d}' {image} echo ok",
        "singularity --quiet run --contain --ipc --cleanenv --no-eval --userns "
        f"--home {d}/out:/rnd --mount=type=bind,source={d}/tmp,target=/tmp "
        f"--mount=type=bind,source={d},target=/in,readonly --pwd /rnd --net --network none "
        f"{image} -c 'test $PWD = /rnd && echo ok'",
        f"env - PATH=$PATH MINICTR_CACHEDIR={warm} singularity exec --no-home --pid -B {d} -B "
        f"{d}/work {image} sh -c 'cd {d}/work; echo ok'",
        f"singularity exec --pwd /mnt/w/work --add-caps all --containall --no-mount hostfs "
        f"--fakeroot --bind {d}:/mnt/w:ro --bind {d}/tmp:/tmp --bind {d}/var_tmp:/var/tmp {image} "
        "sh -c 'echo ok'",
        f"singularity -s exec --contain --pwd {d}/work --cleanenv --ipc --pid --no-mount tmp -B "
        f"{d}:{d}:ro -B {d}/work:{d}/work:rw --home {d}/work:{d}/work {image} sh -c "
        "'touch here && echo ok'",
        f"apptainer -s exec -S /tmp -B {d} -W {d}/work --pwd {d} -B {d}/out:/out "
        f"--home {d}/work -C {image} sh -c 'echo ok'",
        f"apptainer -s -q test -S /tmp -W {d}/work -C {image}; echo ok",
    )
    env = {"PATH": f"{dropin}:/usr/bin:/bin", "MINICTR_CACHEDIR": str(warm)}
    for line in lines:
        done = run_as_user(["bash", "-c", line], env=env, cwd=d / "work")
        assert done.stdout == "ok\n", (line, done.stderr)


@pytest.mark.parametrize("options", [["-B", "/"], ["--mount", "type=bind,src=/etc,dst=/."]])
def test_a_bind_over_the_root_is_left_out_with_a_warning(
    sh: Sh, apptainer: Path, options: list[str]
) -> None:
    """Sites set SINGULARITY_BIND=/ in their modules, and apptainer passes over it."""
    done = sh("test -x /bin/busybox && echo ok", *options, program=apptainer)
    assert (done.returncode, done.stdout) == (0, "ok\n")
    warning = r"WARNING: (/|/etc) cannot be bound over the container's /: it is left out\n"
    assert re.fullmatch(warning, done.stderr)
    own = sh("true", *options)
    assert own.returncode == 125
    assert "[MC0445]" in own.stderr


def test_a_work_directory_that_nothing_lies_in_need_not_be_there(sh: Sh, apptainer: Path) -> None:
    assert sh("echo ok", "-W", "/nosuch", program=apptainer).stdout == "ok\n"
    for options in (["-c"], ["-S", "/scratch"]):
        done = sh("echo ok", "-W", "/nosuch", *options, program=apptainer)
        assert (done.returncode, done.stdout) == (255, "")
        assert "[MC0443]" in done.stderr


def give_directory(path: Path, user: User) -> None:
    path.mkdir()
    give(path, user)


def test_the_probe_of_a_scheduler_runs_without_anything_in_the_image(
    run_as_user: Sh, dropin: Path, directory: Path, user: User, image: Path, warm: Path
) -> None:
    """HTCondor's probe image holds /dev, /proc and one static program."""
    probe = directory / "probe"
    for name in ("dev", "proc"):
        (probe / name).mkdir(parents=True)
    shutil.copy(image / "bin/busybox", probe / "busybox")
    give(probe, user)
    env = {"MINICTR_CACHEDIR": str(warm)}
    done = run_as_user([dropin / "apptainer", "exec", "-C", probe, "/busybox", "readlink",
                        "/proc/self/ns/user"], env=env)  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.strip() not in ("", os.readlink("/proc/self/ns/user"))


def test_nothing_is_said_that_was_not_asked_for(sh: Sh, dropin: Path, image: Path) -> None:
    for name in NAMES[:2]:
        done = sh("true", program=dropin / name)
        assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_bad_variable_fails_without_a_word_on_standard_output(
    run_as_user: Sh, dropin: Path, image: Path
) -> None:
    env = {"SINGULARITY_CLEANENV": "yes"}
    done = run_as_user([dropin / "singularity", "exec", image, "true"], env=env)
    assert (done.returncode, done.stdout) == (255, "")
    assert done.stderr.startswith("FATAL:   ")
    assert 'strconv.ParseBool: parsing "yes": invalid syntax' in done.stderr
    assert "SINGULARITY_CLEANENV=yes" in done.stderr


def test_messages_carry_the_labels_clients_expect(
    run_as_user: Sh, dropin: Path, image: Path
) -> None:
    done = run_as_user([dropin / "apptainer", "exec", image, "nosuch"])
    assert done.returncode == 255
    assert 'FATAL:   "nosuch": executable file not found in $PATH\n' in done.stderr
    done = run_as_user([dropin / "apptainer", "exec", "-B", "/nonex:/x", image, "true"])
    assert done.returncode == 255
    assert "FATAL:   " in done.stderr


def test_a_sif_starts_itself(
    run_as_user: Sh, dropin: Path, sif: Path, warm: Path, directory: Path, user: User
) -> None:
    """The first line of a SIF asks for run-singularity on PATH."""
    copy = directory / "self.sif"
    shutil.copy(sif, copy)
    copy.chmod(0o755)
    give(copy, user)
    env = {"PATH": f"{dropin}:/usr/bin:/bin", "MINICTR_CACHEDIR": str(warm)}
    done = run_as_user([copy, "a"], env=env)
    assert done.returncode == 0
    assert done.stdout.startswith("There is no runscript defined")


# `inspect` is not there yet.
OPEN = frozenset(("inspect --json", "inspect -r"))


def test_the_checks_of_the_command_line_contract(
    run_as_user: Sh, dropin: Path, directory: Path, user: User, room: Path, checkout: Checkout
) -> None:
    found = shared()
    require(found, "SHARED", "there is no folder shared/ with the clients' scripts")
    assert found
    copy = directory / "shared"
    for name in ("clients/common.sh", "clients/01-basics.sh", "sifs/bash.sif", "sifs/oci.sif"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found / name, copy / name)
        (copy / name).chmod(0o755)
    give(copy, user)
    env = {"RUNTIME_BIN": str(dropin), "TMPDIR": str(directory)}
    env["MINICTR_CACHEDIR"] = str(directory / "cache")
    done = run_as_user(["bash", copy / "clients/01-basics.sh"], env=env, timeout=300)
    checks = re.findall(r"^  (ok  |FAIL) (.*)$", done.stdout, re.MULTILINE)
    assert len(checks) >= 50
    failed = {text.partition(":")[0] for outcome, text in checks if outcome == "FAIL"}
    assert failed <= OPEN, done.stdout
