"""Of the calls that were refused, the one is chosen that the failure came from."""

from __future__ import annotations

import pytest
from recorded import (
    ENOENT,
    EPERM,
    REFUSED_CHILD,
    SILENCED,
    SILENT_CHILD,
    choice_of,
    chosen,
    ended,
    said,
)

from minictr.diagnosis.watch.run import Outcome
from minictr.diagnosis.watch.stand_in import Helped


def test_the_last_refusal_before_the_message_is_chosen() -> None:
    line = chosen(
        f'7 mount("a", "/a", "tmpfs", 0, NULL) {EPERM}',
        f'7 pivot_root(".", ".") {EPERM}',
        said("sandbox: pivot_root: Operation not permitted"),
        ended(1),
    )
    assert line.startswith("pivot_root")


def test_the_message_decides_between_errnos() -> None:
    line = chosen(
        f'7 mount("proc", "/proc", "proc", 0, NULL) {EPERM}',
        f'7 mount("a", "/a", NULL, MS_BIND, NULL) {ENOENT}',
        said("sandbox: cannot mount proc: Operation not permitted"),
        ended(1),
    )
    assert '"/proc"' in line


def test_what_the_process_got_over_is_not_chosen() -> None:
    assert not chosen(
        "7 clone3({flags=CLONE_NEWUSER}, 88) = -1 ENOSYS (Function not implemented)",
        "7 clone(child_stack=NULL, flags=CLONE_NEWUSER|SIGCHLD) = 8",
        said("sandbox: Function not implemented"),
        ended(1),
    )


def test_a_search_along_path_that_succeeds_is_not_chosen() -> None:
    assert not chosen(
        f'7 execve("/a/tool", ["tool"], 0x7 /* 3 vars */) {ENOENT}',
        '7 execve("/b/tool", ["tool"], 0x7 /* 3 vars */) = 0',
        said("tool: x: No such file or directory"),
        ended(1),
    )


def test_what_a_shell_was_given_in_place_of_the_kernel_is_chosen() -> None:
    line = chosen(
        '7 execve("/a/tool", ["/a/tool"], 0x7 /* 3 vars */) = -1 ENOEXEC (Exec format error)',
        '7 execve("/bin/sh", ["/bin/sh", "/a/tool"], 0x7 /* 3 vars */) = 0',
        said("/a/tool: 1: Syntax error"),
        ended(2),
    )
    assert line.startswith('execve("/a/tool"')


def test_a_refusal_in_a_process_that_ended_well_is_not_chosen() -> None:
    assert not chosen(
        "7 fork() = 8",
        f'8 mount("a", "/a", "tmpfs", 0, NULL) {EPERM}',
        ended(0, 8),
        said("sandbox: Operation not permitted"),
        ended(1),
    )


def test_without_words_the_failure_is_followed_to_the_child_it_came_from() -> None:
    line = chosen(
        "7 fork() = 8",
        f'8 mount("a", "/a", "tmpfs", 0, NULL) {EPERM}',
        ended(1, 8),
        ended(1),
    )
    assert line.startswith("mount")


@pytest.mark.parametrize(
    "lines",
    [
        (*REFUSED_CHILD, ended(1)),
        (*REFUSED_CHILD, said("make: *** [all] Error 1"), ended(2)),
        (*REFUSED_CHILD, said("'unshare' did not work"), ended(9)),
        (*SILENT_CHILD, said("sandbox: no namespace"), ended(2)),
        (
            *SILENT_CHILD[:3],
            said("server: Operation not permitted"),
            "8 +++ killed by SIGKILL +++",
            ended(255),
        ),
        (*REFUSED_CHILD, f'7 stat("/a/rm", 0x7) {ENOENT}', '7 stat("/b/rm", 0x7) = 0', ended(1)),
    ],
)
def test_a_failure_is_tied_to_a_child_by_its_status_or_by_what_is_said_of_it(
    lines: tuple[str, ...],
) -> None:
    assert chosen(*lines).startswith("unshare")


@pytest.mark.parametrize(
    "lines",
    [
        (*REFUSED_CHILD, ended(4)),
        (*REFUSED_CHILD, "7 +++ killed by SIGSEGV +++"),
        (*REFUSED_CHILD, f'7 stat("/nosuch", 0x7) {ENOENT}', ended(1)),
        (*REFUSED_CHILD, said("bad config"), ended(1)),
        (*REFUSED_CHILD, "7 fork() = 9", '9 openat(AT_FDCWD, "/x") = 3', ended(1, 9), ended(1)),
        (*SILENT_CHILD, said("sandbox: it did not work"), ended(1)),
        (*SILENT_CHILD, '7 write(1</dev/null>, "libfoo... no", 12) = 12', ended(1)),
        (*SILENT_CHILD, '7 openat(AT_FDCWD, "/my.conf", O_RDONLY) = 3', ended(1)),
    ],
)
def test_who_goes_on_after_a_child_was_refused_has_failed_of_something_else(
    lines: tuple[str, ...],
) -> None:
    assert not chosen(*lines)


@pytest.mark.parametrize(
    ("lines", "blamed"),
    [
        ((ended(1),), True),
        ((said("sandbox: you must not make a namespace"), ended(1)), True),
        ((said("cannot parse my.conf"), ended(1)), False),
        (("7 +++ killed by SIGSEGV +++",), False),
        (('7 openat(AT_FDCWD, "/my.conf", O_RDONLY) = 3', ended(1)), False),
        (
            (
                said("warning: Operation not permitted"),
                '7 openat(AT_FDCWD, "/my.conf", O_RDONLY) = 3',
                said("cannot parse my.conf"),
                ended(1),
            ),
            False,
        ),
        (
            (
                f'7 openat(AT_FDCWD, "/etc/shadow", O_RDONLY) {EPERM}',
                said("/etc/shadow: Operation not permitted"),
                ended(1),
            ),
            False,
        ),
    ],
)
def test_a_process_has_failed_of_a_refusal_where_it_ends_of_it_at_once_or_says_so(
    lines: tuple[str, ...], blamed: bool
) -> None:
    assert bool(chosen(f"7 unshare(CLONE_NEWUSER) {EPERM}", *lines)) is blamed


def test_a_later_child_that_fails_by_itself_hides_an_earlier_refusal() -> None:
    assert not chosen(
        f'7 chroot("/a") {EPERM}',
        "7 fork() = 8",
        said("check: failed", 8),
        ended(1, 8),
        ended(1),
    )


def test_a_helper_that_failed_is_chosen_and_its_own_calls_are_not() -> None:
    helped = Helped(8, "/usr/bin/newuidmap", ("9",), 1, "newuidmap: write: Not so", False)
    line = chosen(
        "7 fork() = 8",
        f'8 execve("/none", ["none"], 0x7 /* 3 vars */) {ENOENT}',
        said("newuidmap: write: Not so: No such file or directory", 8),
        ended(1, 8),
        ended(1),
        helped=(helped,),
    )
    assert line == "/usr/bin/newuidmap"


def test_a_file_counts_as_missed_where_the_message_names_it() -> None:
    lines = (
        f'7 newfstatat(AT_FDCWD</>, "/a/tool", 0x7, 0) {ENOENT}',
        f'7 newfstatat(AT_FDCWD</>, "/etc/other", 0x7, 0) {ENOENT}',
        f'7 newfstatat(AT_FDCWD</>, "/b/tool", 0x7, 0) {ENOENT}',
    )
    missed = choice_of(*lines, said("tool: not found in PATH"), ended(1)).missed()
    assert [one.arguments[1] for one in missed] == ['"/a/tool"', '"/b/tool"']
    assert not choice_of(*lines, said("sandbox: I give up"), ended(1)).missed()


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Outcome(1, "x\nproc 12: no\n"), True),
        (Outcome(1, "proc 345: no\n\n"), True),
        (Outcome(1, "\x1b[31mproc 1: no\x1b[0m"), True),
        (Outcome(2, "proc 12: no\n"), False),
        (Outcome(1, "proc 12: yes\n"), False),
    ],
)
def test_runs_are_alike_by_status_and_last_line(other: Outcome, same: bool) -> None:
    assert Outcome(1, "proc 12: no\n").same_as(other) is same


OWN = said("licence: Operation not permitted")


def test_words_are_somebody_elses_where_the_refusal_was_to_be_heard_by_nobody() -> None:
    assert chosen(*SILENCED, OWN, ended(3)) == ""


@pytest.mark.parametrize("left", [1, 3])
def test_words_may_be_the_refusals_where_it_was_not_silenced(left: int) -> None:
    """Without the open /dev/null is where the output goes here; without the write it said none."""
    lines = [line for number, line in enumerate(SILENCED) if number != left]
    assert chosen(*lines, OWN, ended(3)).startswith("unshare")


def test_who_silences_a_refusal_and_says_something_else_has_not_failed_of_it() -> None:
    assert not chosen(*SILENCED, said("no sandbox"), ended(3))
