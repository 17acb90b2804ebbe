"""`minictr why` blames no refusal that a program got over before it failed of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from asked_why import Why
from skipping import require_program

IN_VAIN = "python3 -c 'import ctypes,os,subprocess,sys\n"
CAUGHT = 'try: subprocess.run(["{}"])\nexcept OSError: pass\n'
MISSED = CAUGHT.format("nosuchtool")
UNSHARE = "ctypes.CDLL(None).unshare(0x10000000)\n"
BY_HAND = """
#include <stdio.h>
#include <unistd.h>
#include <grp.h>
int main(void) {
    setgroups(0, 0);
    setuid(0);
    fputs("cannot parse my.conf: line 3", stderr);
    return 1;
}
"""


@pytest.mark.parametrize(
    "command",
    [
        f'{IN_VAIN}{CAUGHT.format("lsb_release_x")}sys.exit("bad input, line 3")\'',
        f'{IN_VAIN}{CAUGHT.format("/etc/passwd")}open("/etc/shadow")\'',
        f"{IN_VAIN}{CAUGHT.format('nvidia-smi')}assert 1 == 2'",
        """perl -e 'system("lsb_x"); die "bad config\\n"'""",
        """perl -e 'system("lsb_x"); $! = 0; die "bad config\\n"'""",
        "sh -c 'chroot / true 2>/dev/null; echo usage >&2; exit 2'",
        "sh -c 'unshare -n true; test -e /nosuch'",
        "sh -c 'unshare -n true; false'",
        "bash -c 'if true; then unshare -n true; fi; exit 1'",
        "sh -c 'if unshare -n true 2>/dev/null; then :; fi; echo checking libfoo... no; exit 1'",
        f"filtered --refuse unshare -- {{why}} {IN_VAIN}{UNSHARE}os.kill(os.getpid(), 11)'",
        "filtered --refuse unshare -- {why} "
        f'{IN_VAIN}{UNSHARE}os.execvp("chmod", ["chmod", "600", "/etc/passwd"])\'',
        f'{IN_VAIN}{MISSED}os.unlink("nosuchlock")\'',
        f'{IN_VAIN}{MISSED}sys.exit("HTTP 404 Not Found")\'',
        f"filtered --refuse unshare -- {{why}} {IN_VAIN}{UNSHARE}os.sched_setaffinity(1, {{0}})'",
        f"filtered --refuse unshare -- {{why}} {IN_VAIN}{UNSHARE}"
        'sys.exit("xml: unknown namespace prefix soap")\'',
        "sh -c 'x=$(unshare -m true 2>&1); echo \"db: Operation not permitted\" >&2; exit 3'",
        "sh -c 'mount -t tmpfs x /mnt 2>/dev/null; echo cannot mount: wrong password >&2; exit 5'",
        "filtered --refuse unshare -- {why} sh -c 'unshare -U true; chmod 600 /etc/passwd'",
    ],
)
def test_a_program_that_went_on_after_a_refusal_has_failed_of_its_own(
    why: Why, command: str
) -> None:
    before, _, after = command.rpartition("{why}")
    answer = why(f"ulimit -c 0; {before} minictr why -- {after}")
    assert (answer["verdict"], answer["code"]) == ("own", None), answer.stderr


def test_calls_in_vain_before_a_message_of_the_programs_own_are_not_blamed(
    why: Why, directory: Path
) -> None:
    require_program("cc", "CC", "gcc")
    (directory / "t.c").write_text(BY_HAND)
    answer = why("cc -w -o t t.c; minictr why -- ./t")
    assert (answer["verdict"], answer.status) == ("own", 1), answer.stderr
    assert "setuid(0)" in answer.why


def test_a_script_that_ends_of_the_refusal_of_its_program_is_explained(why: Why) -> None:
    for script in (
        "sh -c 'unshare -n true || exit 1'",
        "sh -ec 'trap \"rm -f t\" EXIT; unshare -n true; echo made'",
        f'{IN_VAIN}subprocess.run(["unshare", "-n", "true"], check=True)\'',
    ):
        answer = why(f"minictr why -- {script}")
        assert answer["verdict"] == "refused", answer.stderr


def test_a_script_that_is_not_there_is_no_program_that_path_lacks(why: Why) -> None:
    answer = why("minictr why -- python3 nosuch.py")
    assert (answer["verdict"], answer["code"]) == ("own", None), answer.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("cat /etc/shadow", "openat(2) of /etc/shadow was refused (EACCES)"),
        ("mkdir /x", "mkdir(2) of /x was refused (EACCES)"),
        ("sh -c 'kill -9 1'", "kill(2) was refused (EPERM)"),
        ("sh -c ': </proc/1/ns/mnt'", "of /proc/1/ns/mnt was refused (EACCES)"),
        ("dd if=/dev/zero of=/dev/full count=1 status=none", "/dev/full was refused (ENOSPC)"),
        ("sh -c 'ulimit -c 0; kill -SYS $$'", "SIGSYS ended it, the signal of seccomp filters"),
    ],
)
def test_what_the_kernel_refused_of_other_kinds_is_said(why: Why, command: str, words: str) -> None:
    answer = why(f"minictr why -- {command}")
    assert answer["verdict"] == "own", answer.stderr
    assert words in answer.why
    text = why(f"minictr why --diagnosis text -- {command}").stderr
    assert "not of namespaces, maps, mounts or exec: " in text
    assert "not refused by the kernel" not in text


@pytest.mark.parametrize(
    "script",
    [
        "unshare -n true || exit 1",
        "unshare -n true || exit 1; false",
        "set -e; unshare -n true; false",
        "if ! unshare -n true; then exit 1; fi",
        ": ; unshare -n true # ; false",
    ],
)
def test_a_script_that_failed_of_the_refusal_before_its_last_command_is_explained(
    why: Why, script: str
) -> None:
    answer = why(f"minictr why -- sh -c '{script}'")
    assert (answer["verdict"], answer["code"]) == ("refused", "MC0221"), answer.stderr
