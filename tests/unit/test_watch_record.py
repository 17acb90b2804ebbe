"""What strace writes is read as calls, parents and ends."""

from __future__ import annotations

import errno

import pytest

from minictr.diagnosis.watch.arguments import opened, plain, split, strings
from minictr.diagnosis.watch.kinds import builds, is_map, looks, new_namespaces, path_of
from minictr.diagnosis.watch.record import Call, Record


def call(text: str) -> Call:
    found = Record().feed(f"7 {text}")
    assert found
    return found


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", []),
        ('"a, b", 3', ['"a, b"', "3"]),
        ('"quoted \\", comma", 3', ['"quoted \\", comma"', "3"]),
        ("{flags=A|B, stack=NULL}, 88", ["{flags=A|B, stack=NULL}", "88"]),
        ("AT_FDCWD</x, y>, [1, 2]", ["AT_FDCWD</x, y>", "[1, 2]"]),
        ('"cut short"..., 1<<SIGCHLD, 0', ['"cut short"...', "1<<SIGCHLD", "0"]),
    ],
)
def test_arguments_are_what_commas_divide_outside_of_strings_and_brackets(
    text: str, arguments: list[str]
) -> None:
    assert split(text) == arguments


def test_strings_lose_quotes_and_escapes() -> None:
    assert plain('"a\\tb\\"c\\\\"') == 'a\tb"c\\'
    assert plain('"\\303\\244\\x20"...') == "ä "
    assert plain("NULL") == ""
    assert strings('["sh", "-c", "a b"]') == ("sh", "-c", "a b")
    assert opened("3</proc/7/uid_map>") == "/proc/7/uid_map"
    assert opened("NULL") == ""


def test_a_call_that_is_interrupted_by_others_is_put_together() -> None:
    record = Record()
    assert record.feed('7 mount("proc", "/proc" <unfinished ...>') is None
    assert record.feed('8 chroot("/x") = 0')
    done = record.feed(
        '7 <... mount resumed>, "proc", 0, NULL) = -1 EPERM (Operation not permitted)'
    )
    assert done
    assert (done.name, done.process, done.errno) == ("mount", 7, errno.EPERM)
    assert [plain(one) for one in done.arguments[:3]] == ["proc", "/proc", "proc"]


def test_children_threads_and_ends_are_known_by_their_pids_outside() -> None:
    record = Record()
    record.feed(
        "7 clone(child_stack=NULL, flags=CLONE_NEWPID|SIGCHLD) = 2 /* 90 in strace's PID NS */"
    )
    record.feed("90 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 91")
    made = record.feed('91 chroot("/x") = -1 ENOENT (No such file or directory) (DELAYED)')
    record.feed("90 +++ exited with 3 +++")
    record.feed("7 +++ killed by SIGKILL +++")
    assert record.first == 7
    assert record.children(7) == [90]
    assert made
    assert (made.process, made.thread) == (90, 91)
    assert "DELAYED" not in made.line
    assert {pid: end.status for pid, end in record.ends.items()} == {90: 3, 7: 137}


def test_a_child_that_is_seen_before_its_parents_call_has_returned_has_that_parent() -> None:
    record = Record()
    record.feed("7 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>")
    record.feed('8 chroot("/x") = 0')
    assert record.children(7) == [8]
    record.feed("7 <... clone resumed>) = 8")
    assert record.children(7) == [8]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("unshare(CLONE_NEWNS|CLONE_NEWUSER) = 0", ("user", "mnt")),
        (
            "clone(child_stack=NULL, flags=CLONE_NEWPID|CLONE_NEWCGROUP|SIGCHLD) = 9",
            ("pid", "cgroup"),
        ),
        ("clone3({flags=CLONE_NEWNET|CLONE_PIDFD, exit_signal=SIGCHLD}, 88) = 9", ("net",)),
        ("clone(child_stack=NULL, flags=SIGCHLD) = 9", ()),
        ("setns(3<user:[1]>, CLONE_NEWUSER) = 0", ()),
    ],
)
def test_the_kinds_of_new_namespaces_are_read_from_the_flags(
    text: str, kinds: tuple[str, ...]
) -> None:
    assert new_namespaces(call(text)) == kinds


def test_questions_to_the_kernel_build_nothing() -> None:
    assert builds(call('mount("proc", "/proc", "proc", 0, NULL) = -1 EPERM (no)'))
    assert builds(call("seccomp(SECCOMP_SET_MODE_FILTER, 0, {len=2, filter=0x7}) = -1 EACCES (no)"))
    assert not builds(call("seccomp(SECCOMP_SET_MODE_FILTER, 0, NULL) = -1 EFAULT (Bad address)"))
    assert not builds(call("prctl(PR_CAPBSET_READ, 0x29) = -1 EINVAL (Invalid argument)"))
    assert not builds(call('write(2</dev/tty>, "x", 1) = -1 EAGAIN (no)'))


def test_maps_are_told_from_files_of_their_name() -> None:
    written = call('write(3</proc/7/uid_map>, "0 0 1", 5) = -1 EPERM (Operation not permitted)')
    assert is_map(written)
    assert builds(written)
    assert not looks(written)
    assert not is_map(call('write(3</tmp/uid_map>, "0 0 1", 5) = 5'))
    assert path_of(call('openat(AT_FDCWD</>, "/etc/subuid", O_RDONLY) = 3')) == "/etc/subuid"


def test_what_succeeded_is_kept_only_where_it_can_be_of_use() -> None:
    record = Record()
    for line in (
        "umask(077) = 022",
        "umask(022) = 077",
        'chdir("/") = 0',
        "kill(1, 9) = -1 EPERM (No)",
    ):
        assert record.feed(f"7 {line}")
    assert [one.name for one in record.calls] == ["chdir", "kill"]
