"""What a program says is taken for the refusal only where it gives that as its reason."""

from __future__ import annotations

import pytest
from recorded import ENOENT, EPERM, REFUSED_CHILD, SILENCED, chosen, ended, said

from minictr.diagnosis.values import Diagnosis, Proof
from minictr.diagnosis.watch.run import Outcome
from minictr.diagnosis.watch.words import retold
from minictr.runtime.execute import Execute
from minictr.runtime.launch import Failure

MISSED = f'7 execve("/bin/nosuchtool", ["nosuchtool"], 0x7 /* 3 vars */) {ENOENT}'
UNSHARED = f"7 unshare(CLONE_NEWUSER) {EPERM}"
MOUNTED = f'7 mount("a", "/mnt", "tmpfs", 0, NULL) {EPERM}'
CONFIGURED = f"7 fsconfig(3<anon_inode:[fscontext]>, FSCONFIG_CMD_CREATE, NULL, NULL, 0) {EPERM}"
PIVOTED = f'7 pivot_root(".", ".") {EPERM}'
FOREIGN = '7 execve("/b/t", ["/b/t"], 0x7 /* 3 vars */) = -1 ENOEXEC (Exec format error)'


@pytest.mark.parametrize(
    ("refused", "later", "words"),
    [
        (MISSED, f'unlink("/tmp/lock") {ENOENT}', "[Errno 2] No such file or directory"),
        (MISSED, f"connect(3<socket:[9]>, 0x7) {ENOENT}", "x: No such file or directory"),
        (MISSED, "", "error: user bob not found"),
        (MISSED, "", "HTTP 404 Not Found"),
        (MISSED, "", "nosuchtool is optional and was skipped; 3 tests failed"),
        (UNSHARED, f'write(3</dev/full>, "x", 1) {EPERM}', "x: Operation not permitted"),
        (UNSHARED, f'sched_setaffinity(1, 8, [0]) {EPERM}', "x: Operation not permitted"),
        (UNSHARED, f'later_than_this_list("/x") {EPERM}', "x: Operation not permitted"),
        (UNSHARED, "", "ftp: server says: 550 Operation not permitted"),
        (UNSHARED, "", "xml: unknown namespace prefix soap"),
        (MOUNTED, "", "unknown option --mount"),
        (MOUNTED, "", "no such database file in /mnt"),
        (CONFIGURED, "", "cat: /secret: Permission denied"),
        (CONFIGURED, "", "mount: /mnt: mount point does not exist: No such file or directory"),
        (UNSHARED, "", "unshare: cannot write the map: Permission denied"),
    ],
)  # fmt: skip
def test_words_that_only_sound_like_the_refusal_are_about_something_else(
    refused: str, later: str, words: str
) -> None:
    then = [f"7 {later}"] if later else []
    assert not chosen(refused, *then, said(words), ended(1))


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (MISSED, "env: 'nosuchtool': No such file or directory"),
        (MISSED, "sh: 1: nosuchtool: not found"),
        (UNSHARED, "[Errno 1] Operation not permitted"),
        (UNSHARED, "Error: Operation not permitted (os error 1)"),
        (UNSHARED, "No permissions to create new namespace"),
        (PIVOTED, "Error: crun: pivot_root: Operation not permitted: OCI permission denied"),
        (MOUNTED, "mount: /mnt: permission denied."),
        (MOUNTED, "mount: /mnt: must be superuser to use mount."),
        (CONFIGURED, "mount: /mnt: permission denied.\n       dmesg(1) may have more information."),
    ],
)
def test_words_that_give_the_refusal_as_the_reason_are_about_it(refused: str, words: str) -> None:
    assert chosen(refused, said(words), ended(1))


def test_a_path_that_was_written_in_json_is_the_path() -> None:
    later = '7 unlink("/x") = -1 ENOEXEC (Exec format error)'  # so that the errno tells nothing
    words = r"\"msg\": \"exec container process `\\/b\\/t`: Exec format error\","
    assert chosen(FOREIGN, later, said(words), ended(1)).startswith("execve")


@pytest.mark.parametrize("noise", ["ioctl(2, TCGETS, 0x7)", 'readlink("/x", 0x7, 9)', "prctl(99)"])
def test_an_answer_to_a_question_is_no_failure(noise: str) -> None:
    line = f"7 {noise} = -1 EINVAL (Invalid argument)"
    lines = ("7 setns(3<net:[1]>, 0) = -1 EINVAL (Invalid argument)", line)
    assert chosen(*lines, said("join: Invalid argument"), ended(1)).startswith("setns")


@pytest.mark.parametrize(
    ("words", "status", "blamed"),
    [
        ("the server answered with status 1", 9, False),
        ("tests: 1 failed, error 1", 9, False),
        ("unshare is optional, skipped: 3 tests failed", 9, False),
        ("command 'x' returned non-zero exit status 1", 9, True),
        ("make: *** [all] Error 1", 2, True),
    ],
)
def test_who_tells_of_a_child_says_that_it_failed(words: str, status: int, blamed: bool) -> None:
    assert bool(chosen(*REFUSED_CHILD, said(words), ended(status))) is blamed


CAPTURED = '8 write(2<pipe:[77]>, "unshare: Operation not permitted\\n", 33) = 33'


@pytest.mark.parametrize(
    ("complaint", "words", "blamed"),
    [
        (CAPTURED, "backup: db: Operation not permitted", False),
        (CAPTURED, "sandbox: unshare: Operation not permitted", True),
        (
            '8 write(2</dev/null>, "mount: must be superuser", 24) = 24',
            "cannot unshare: wrong password",
            False,
        ),
    ],
)
def test_words_are_the_refusals_where_they_repeat_a_complaint_made_elsewhere(
    complaint: str, words: str, blamed: bool
) -> None:
    lines = [*SILENCED[:3], complaint, SILENCED[4], said(words), ended(5)]
    assert bool(chosen(*lines)) is blamed


def test_numbers_may_differ_between_runs_and_with_them_their_units() -> None:
    first = Outcome(1, "0 bytes copied, 4.2442e-05 s, 0.0 kB/s")
    assert first.same_as(Outcome(1, "0 bytes copied, 0.000231212 s, 1.2 MB/s"))


def test_another_program_has_neither_an_image_nor_a_launch() -> None:
    fix = "Use an image that has x, or install it where the image is built."
    cause = "no directory of the container's PATH has x; a filter refuses the flags of this launch"
    failure = Failure("bwrap (pid 7)", 0, Execute(("x",)), "execve", (), 2)
    known = Diagnosis("", failure, "MC0602", "", Proof(cause, (), fix), kernel=("6.1", "x86_64"))
    proof = retold(known, "bwrap", in_place=False).proof
    assert proof
    assert proof.cause == "no directory of its PATH has x; a filter refuses its flags"
    assert proof.fix_user == "Install x in the root directory that bwrap has made."
