"""`minictr why` gives the command's own status and leaves nothing, whatever surrounds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from asked_why import Why
from ordinary_user import User

IGNORING = "python3 -c 'import os,signal; signal.signal(17, signal.SIG_IGN); os.execvp(\"{}\", {})'"


def left(user: User) -> list[str]:
    return [
        str(path) for path in Path("/tmp").glob("minictr-why-*") if path.stat().st_uid == user.uid
    ]


def test_a_caller_that_ignores_its_children_hears_the_status(why: Why) -> None:
    command = ["minictr", "why", "--", "sh", "-c", "sleep .3; exit 3"]
    words = ", ".join(f'"{word}"' for word in command)
    answer = why(IGNORING.format("minictr", f"[{words}]"))
    assert (answer["verdict"], answer.status) == ("own", 3), answer.stderr


def test_without_descriptors_for_processes_the_end_is_seen(why: Why) -> None:
    answer = why("filtered --refuse pidfd_open -- minictr why -- sh -c 'sleep .3; exit 3'")
    assert (answer["verdict"], answer.status) == ("own", 3), answer.stderr


@pytest.mark.parametrize("call", ["kill", "getpid"])
def test_strace_is_not_run_where_it_would_wait_for_ever(why: Why, user: User, call: str) -> None:
    answer = why(f"filtered --refuse {call} -- minictr why -- unshare -m true")
    assert (answer["verdict"], answer.status) == ("unwatched", 1), answer.stderr
    assert f"{call}(2)" in answer.why
    assert not left(user)


def test_what_cannot_be_said_does_not_end_it(why: Why) -> None:
    assert why("minictr why -- sh -c 'echo x >&2; sleep .3; exit 3' 2>/dev/full").status == 3


def test_a_run_that_would_not_end_without_its_input_is_ended(why: Why) -> None:
    loop = 'until read x && [ "$x" = y ]; do sleep .2; done; unshare -m true'
    answer = why(f"printf 'n\\ny\\n' | minictr why -- sh -c \"{loop.replace('$', chr(92) + '$')}\"")
    assert (answer["verdict"], answer.status) == ("differs", 1), answer.stderr
    assert "had not ended after" in answer.why


def test_numbers_and_their_units_may_differ(why: Why) -> None:
    answer = why("minictr why -- dd if=/dev/zero of=/dev/full bs=1 count=1")
    assert answer["verdict"] == "own", answer.stderr


@pytest.mark.parametrize("number", ["ALRM", "USR1", "USR2", "XCPU", "KILL"])
def test_nothing_is_left_by_a_signal(why: Why, user: User, number: str) -> None:
    again = "[ $(wc -l <runs) = 1 ] || { echo $$ >pid; exec sleep 30; }"
    script = f"minictr why -- sh -c 'echo run >>runs; {again}; exit 3' & until grep -q run runs &&"
    script += f" [ -s pid ]; do sleep .1; done; kill -{number} $!; wait $!"
    assert why(f"{script}; status=$?; kill $(cat pid) 2>&-; exit $status").status > 128
    if number == "KILL":  # the next run removes it
        assert left(user)
        why("minictr why -- false")
    assert not left(user)


@pytest.mark.parametrize("limit", [8, 9, 10, 11])
def test_nothing_is_left_where_descriptors_are_few(why: Why, user: User, limit: int) -> None:
    assert why(f"prlimit --nofile={limit} minictr why -- unshare -m true").status == 1
    assert not left(user)


def test_its_directory_is_named_where_it_cannot_write_there(why: Why) -> None:
    answer = why("prlimit --fsize=0 minictr why -- unshare -m true 2>&1 | cat >&2")
    assert "strace needs a directory to write to: File too large (/tmp/minictr-why-" in answer.why
    assert why("umask 777; minictr why -- unshare -m true")["verdict"] == "refused"


@pytest.mark.parametrize("command", ["doctor", "why -- unshare -m true"])
def test_a_directory_that_may_not_be_removed_ends_nothing(why: Why, command: str) -> None:
    run = f"minictr {command}"
    answer = why(f"filtered --refuse rmdir -- {run}; status=$?; {run} >&- 2>&-; exit $status")
    assert answer.status in (0, 1), answer.stderr
    assert "RecursionError" not in answer.stderr
