"""`minictr why` explains other programs' failures, as an ordinary user."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from asked_why import Why
from lab.bench import SYSTEM_PATH
from ordinary_user import User
from skipping import require, require_program

IN_ROOT = "unshare -Urm sh -c"


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        (
            f"{IN_ROOT} 'echo 0 >/proc/sys/user/max_user_namespaces; minictr why unshare -U true'",
            "MC0201",
            "/proc/sys/user/max_user_namespaces reads 0",
        ),
        (
            f"{IN_ROOT} 'echo 0 >/proc/sys/user/max_pid_namespaces; minictr why unshare -Up true'",
            "MC0202",
            "/proc/sys/user/max_pid_namespaces reads 0",
        ),
        (
            "filtered --refuse unshare:user -- minictr why -- unshare -Ur true",
            "MC0204",
            "a seccomp filter around unshare refuses unshare(2) with CLONE_NEWUSER",
        ),
        (
            f"{IN_ROOT} 'mount --bind /dev/null /proc/uptime;"
            " minictr why -- unshare -Upf --mount-proc -r true'",
            "MC0404",
            "VFS: Mount too revealing",
        ),
        ("filtered --refuse mount -- minictr why -- unshare -Urm true", "MC0406", "mount(2)"),
        ("landlocked -- minictr why -- unshare -Urm true", "MC0408", "Landlock"),
    ],
)
def test_a_fault_around_another_program_is_named(
    why: Why, script: str, code: str, words: str
) -> None:
    answer = why(script)
    assert (answer["verdict"], answer["code"]) == ("refused", code), answer.stderr
    assert words in answer.words
    assert answer.status == answer["status"] == 1
    assert "minictr" not in answer.words


def test_a_caller_without_a_number_is_named_where_strace_starts_for_him(why: Why) -> None:
    answer = why("unshare -U minictr why -- unshare -U true")
    if answer["verdict"] == "unwatched":  # strace 6.1 sets its own ids again
        assert "setreuid: Invalid argument" in answer.why
    else:
        assert answer["code"] == "MC0208"


@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        ("true", 127, "MC0604"),
        ("printf '#!/bin/sh\\r\\n' >t; chmod +x t", 127, "MC0607"),
        ("printf '#!/bin/nosuch\\n' >t; chmod +x t", 127, "MC0608"),
        ("head -c 100 /bin/true >t; chmod +x t", 126, "MC0610"),
        ("foreign-elf /bin/true t", 126, "MC0611"),
        ("mkdir t", 126, "MC0605"),
        ("cp /bin/true t; chmod 644 t", 126, "MC0606"),
        ("ln -s /opt/nosuch/t t", 127, "MC0601"),
    ],
)
def test_a_program_that_cannot_be_executed_is_explained_wherever_it_is_started(
    why: Why, make: str, status: int, code: str
) -> None:
    at_once = why(f"{make}; minictr why -- $PWD/t")
    assert (at_once["code"], at_once.status) == (code, status), at_once.stderr
    inside = why("minictr why -- unshare -Ur $PWD/t")
    assert (inside["verdict"], inside["code"]) == ("refused", code), inside.stderr
    assert "container" not in inside.words


FAILING_UNSHARE = "filtered --refuse unshare:user -- minictr why -- sh -c 'unshare -Ur true"
# What a script does after a refusal that it got over; the last one only sounds like the refusal.
THEN = [
    "2>/dev/null; kill 1",
    "; ls /nosuch",
    "2>/dev/null; cd /nosuch",
    "2>/dev/null; cat /root/.profile",
    "2>/dev/null; echo licence: Operation not permitted >&2",
]


@pytest.mark.parametrize("then", THEN)
def test_a_refusal_after_which_the_program_failed_of_something_else_is_not_blamed(
    why: Why, then: str
) -> None:
    answer = why(f"{FAILING_UNSHARE} {then}; exit 4'")
    assert (answer["verdict"], answer.status) == ("own", 4), answer.stderr


@pytest.mark.parametrize(
    "script",
    [
        "minictr why -- unshare -Urm mount -t proc proc /mnt",  # in no PID namespace of its own
        "minictr why -- unshare -Urm mount -t ext4 /dev/null /mnt",
    ],
)
def test_what_no_probe_proves_is_said_to_be_unknown(why: Why, script: str) -> None:
    answer = why(script)
    assert (answer["verdict"], answer["code"]) == ("refused", "MC0000"), answer.stderr


def test_the_source_of_a_bind_is_looked_for_where_the_program_stands(why: Why) -> None:
    answer = why("minictr why -- unshare -Urm mount --bind /nosuch/data /mnt")
    assert (answer["verdict"], answer["code"]) == ("refused", "MC0401"), answer.stderr
    assert "/nosuch/data" in answer.words
    hidden = "mkdir data; minictr why -- unshare -Urm sh -c"
    answer = why(f"{hidden} 'mount -t tmpfs none $PWD; mount --bind $PWD/data /mnt'")
    assert answer["code"] in ("MC0000", None), answer.stderr


def test_what_path_lacks_is_said_without_the_directory_of_the_stand_ins(why: Why) -> None:
    answer = why("PATH=$PATH:/opt/nosuch; minictr why -- unshare -Ur nosuch")
    assert (answer["code"], answer.status) == ("MC0602", 127)
    assert "/opt/nosuch" in answer.words
    assert "why-" not in answer.stderr


@pytest.mark.parametrize("command", ["sh -c 'exit 3'", "sh -c 'echo no >&2; exit 3'", "sh nosuch"])
def test_a_program_that_fails_by_itself_is_not_refused(why: Why, command: str) -> None:
    answer = why(f"minictr why -- unshare -Ur {command}")
    assert (answer["verdict"], answer["code"]) == ("own", None), answer.stderr
    assert answer.status == (2 if "nosuch" in command else 3)


@pytest.mark.parametrize(
    "script",
    [
        "minictr why -- ls /nosuch",
        "mkdir -m 0 closed; minictr why -- find closed",
        "mkdir -m 0 closed; minictr why -- cat closed/x",
        "minictr why -- sh -c 'kill -9 $$'",
        "minictr why -- sh -c 'ulimit -c 0; kill -11 $$'",
    ],
)
def test_a_file_that_is_no_program_and_a_signal_are_the_programs_own(why: Why, script: str) -> None:
    answer = why(script)
    assert (answer["verdict"], answer["code"]) == ("own", None), answer.stderr


def test_the_status_and_the_output_are_those_of_the_command(why: Why) -> None:
    done = why("minictr why -- sh -c 'echo once; echo said >&2'")
    assert (done.status, done.stdout, done["verdict"]) == (0, "once\n", "succeeded")
    done = why("minictr why -- sh -c 'echo once; kill -9 $$'")
    assert (done.status, done.stdout) == (137, "once\n")
    done = why("minictr why -- sh -c 'echo once; printf said >&2; exit 7'")
    assert (done.status, done.stdout) == (7, "once\n")
    assert done.stderr.startswith("said\n")


def test_a_limit_that_lets_no_process_be_made_is_named(why: Why) -> None:
    answer = why("unshare -Ur prlimit --nproc=1 minictr why -- true")
    assert (answer["code"], answer.status) == ("MC0701", 126), answer.stderr
    answer = why("unshare -Ur prlimit --nproc=2 minictr why -- unshare -Up --fork true")
    assert (answer["verdict"], answer.status) == ("unwatched", 1), answer.stderr


def test_every_run_reads_the_same_file(why: Why) -> None:
    answer = why("echo first >in; minictr why -- sh -c 'read a; exec unshare -Ur /no$a' <in")
    assert answer["code"] == "MC0604"
    assert "/nofirst" in answer.words


@pytest.fixture
def many_ids(user: User) -> None:
    """The caller has a range of ids, and helpers that map them."""
    require_program("newuidmap", "MC0305", "uidmap")
    require(user.subuid and user.subgid, "MC0303", "the user has no subordinate ids")


def test_the_helpers_work_while_they_are_watched(why: Why, many_ids: None) -> None:
    answer = why("minictr why -- unshare --map-auto -r sh -c 'id -u 1>&2; exit 5'")
    assert (answer["verdict"], answer.status) == ("own", 5), answer.stderr
    assert answer.stderr.startswith("0\n")


def test_a_helper_without_privilege_is_explained(why: Why, many_ids: None) -> None:
    answer = why("setpriv --no-new-privs minictr why -- unshare --map-auto -r true")
    assert (answer["code"], answer.status) == ("MC0307", 1), answer.stderr
    assert "NoNewPrivs 1" in answer.words


def test_what_the_program_did_to_itself_is_not_laid_to_the_machine(
    why: Why, many_ids: None
) -> None:
    answer = why("minictr why -- setpriv --no-new-privs unshare --map-auto -r true")
    assert answer["code"] == "MC0000", answer.stderr
    assert "has set no_new_privs itself" in answer.stderr


def test_a_failure_that_differs_when_watched_is_no_cause(why: Why) -> None:
    look = 'grep -q "TracerPid:.0$" /proc/self/status'
    answer = why(f"minictr why -- sh -c '{look} && exec unshare -U /nosuch; exit 9'")
    assert (answer["verdict"], answer["code"]) == ("differs", None)
    assert answer.status == 127


def test_without_strace_it_says_so(why: Why, directory: Path) -> None:
    few = directory / "few"
    few.mkdir()
    for name in ("sh", "unshare", "env"):
        found = shutil.which(name, path=SYSTEM_PATH)
        assert found
        (few / name).symlink_to(found)
    answer = why("PATH=${PATH%%:*}:$DIRECTORY/few minictr why -- unshare -U /nosuch")
    assert (answer["verdict"], answer.status) == ("unwatched", 127), answer.stderr
    assert "strace is not installed" in answer.why


def test_where_tracing_is_refused_strace_itself_is_quoted(why: Why) -> None:
    answer = why("traced minictr why -- unshare -U /nosuch")
    assert (answer["verdict"], answer.status) == ("unwatched", 127), answer.stderr
    assert "Operation not permitted" in answer.why


def test_the_text_says_what_was_refused(why: Why) -> None:
    done = why("minictr why --diagnosis text unshare -Ur /nosuch")
    lines = done.stderr.splitlines()
    assert lines[1] == "minictr: error: unshare ended with status 127: execve(2) was refused"
    assert "  cause     /nosuch does not exist [MC0604]" in lines
    done = why("minictr why --diagnosis text -- false")
    assert "minictr: not refused by the kernel: false ended with status 1" in done.stderr
    assert "minictr doctor" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("--unshare-all --dev-bind / / /nosuch", "MC0604", "/nosuch"),
        ("--unshare-user --dev-bind / / --bind /nosuch/data /tmp true", "MC0401", "/nosuch/data"),
    ],
)
def test_bubblewrap_is_explained(why: Why, options: str, code: str, words: str) -> None:
    require_program("bwrap", "BWRAP", "bubblewrap")
    answer = why(f"minictr why -- bwrap {options}")
    assert (answer["verdict"], answer["code"]) == ("refused", code), answer.stderr
    assert words in answer.words
