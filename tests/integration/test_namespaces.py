"""A launch makes the namespaces its name and its options say, and shares the others."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

KINDS = ("user", "mnt", "pid", "uts", "ipc", "net", "cgroup")
LOOK = "cd /proc/self/ns; for kind in *; do echo $kind $(readlink $kind); done"
Sh = Callable[..., subprocess.CompletedProcess[str]]


def new_kinds(text: str) -> set[str]:
    """The kinds whose inode inside is not the host's."""
    seen = dict(line.split() for line in text.splitlines())
    return {kind for kind in KINDS if seen[kind] != os.readlink(f"/proc/self/ns/{kind}")}


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ([], {"user", "mnt", "pid", "uts", "ipc"}),
        (["--no-pid"], {"user", "mnt", "uts", "ipc"}),
        (["--pid=false"], {"user", "mnt", "uts", "ipc"}),
        (["--ipc=false"], {"user", "mnt", "pid", "uts"}),
        (["--uts=false"], {"user", "mnt", "pid", "ipc"}),
        (["--net", "--network", "none"], {"user", "mnt", "pid", "uts", "ipc", "net"}),
    ],
)
def test_namespaces_under_the_own_name(
    inside: Callable[..., str], options: list[str], kinds: set[str]
) -> None:
    assert new_kinds(inside(LOOK, *options)) == kinds


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ([], set()),
        (["-p"], {"pid"}),
        (["-i"], {"ipc"}),
        (["--uts"], {"uts"}),
        (["-C"], {"pid", "ipc"}),
        (["--hostname", "h"], {"uts"}),
        (["-n", "--network=none"], {"net"}),
    ],
)
def test_namespaces_under_a_drop_in_name(
    inside: Callable[..., str], apptainer: Path, options: list[str], kinds: set[str]
) -> None:
    assert new_kinds(inside(LOOK, *options, program=apptainer)) == kinds | {"user", "mnt"}


def test_pid_1_is_the_init_and_its_child_the_payload(inside: Callable[..., str]) -> None:
    shown = inside("ps -o pid,ppid,comm; echo $$").splitlines()
    assert shown[1].split() == ["1", "0", "minictr:init"]
    assert shown[2].split() == ["2", "1", "sh"]
    assert shown[-1] == "2"


def test_the_init_is_called_appinit_under_a_drop_in_name(
    inside: Callable[..., str], apptainer: Path
) -> None:
    assert inside("cat /proc/1/comm", "--pid", program=apptainer) == "appinit\n"


def test_without_a_pid_namespace_the_payload_sees_the_processes_of_the_host(
    inside: Callable[..., str],
) -> None:
    seen = inside("test -d /proc/$PPID && tr '\\0' ' ' < /proc/1/comm; echo $$", "--no-pid").split()
    assert seen[0] == Path("/proc/1/comm").read_text().strip()
    assert int(seen[-1]) > 2


def test_the_host_name_is_the_hosts_unless_one_is_given(inside: Callable[..., str]) -> None:
    name = socket.gethostname()
    assert inside("hostname") == f"{name}\n"
    assert inside("hostname; cat /etc/hostname", "--hostname", "inner") == "inner\ninner\n"
    assert socket.gethostname() == name


@pytest.mark.parametrize("options", [["--net"], ["--net", "--network", "bridge"]])
def test_a_network_other_than_none_is_refused(sh: Sh, apptainer: Path, options: list[str]) -> None:
    done = sh("echo ran", *options)
    assert (done.returncode, done.stdout) == (125, "")
    done = sh("echo ran", *options, program=apptainer)
    assert (done.returncode, done.stdout) == (255, "")
    assert done.stderr.startswith("FATAL:   ")


def test_ipc_objects_of_the_host_are_out_of_reach(
    inside: Callable[..., str], run_as_user: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    made = run_as_user(["ipcmk", "-M", "4096"]).stdout.split()[-1]
    try:
        assert made in run_as_user(["ipcs", "-m", "-i", made]).stdout
        look = "wc -l < /proc/sysvipc/shm"
        assert inside(look).strip() == "1"
        assert inside(look, "--ipc=false").strip() != "1"
    finally:
        run_as_user(["ipcrm", "-m", made])
