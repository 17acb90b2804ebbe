"""A diagnosis is a value: verdicts go in, text and JSON of the same come out."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

import pytest

from minictr.cli.options import ACCEPTED, ACTION, KIND, OWN, SHORT
from minictr.diagnosis import diagnose, diagnose_refusal
from minictr.diagnosis.again import BOOLEAN, again, without_network
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.report import as_json, as_text
from minictr.diagnosis.values import Diagnosis, Proof
from minictr.diagnosis.words import argument_words, step_words
from minictr.host import Fact, Host, read_host
from minictr.refusal import Refusal
from minictr.request import Request
from minictr.runtime.launch import Failure, Plan
from minictr.runtime.namespaces import CreateNamespaces
from minictr.runtime.step import Step

REQUEST = Request("exec", "image.sif", ("true",), "minictr", namespaces=("pid",))
STEP = CreateNamespaces(("user", "mnt", "pid"))
PLAN = Plan(enter=(STEP,), map_ids=(), isolate=(), build=(), confine=(), execute=())
FAILURE = Failure("enter", 0, STEP, "clone", ("0x30020011",), errno.ENOSPC)

PROVED = Diagnosis(
    happened="the container's namespaces cannot be made",
    failure=FAILURE,
    code="MC0201",
    title="user.max_user_namespaces is 0",
    proof=Proof("it is 0", ("the file reads 0", "so it is"), "do this\nDo that.", "do it"),
    then=(("MC0203", "a chroot"),),
    kernel=("6.1", "x86_64"),
)
UNKNOWN = PROVED.replace(
    code="MC0000",
    title="not known",
    proof=None,
    then=(),
    ruled_out=(("MC0201", "A", "it gives X"), ("MC0202", "B", "it gives X"), ("MC0203", "C", "no")),
    still_open=(("MC0204", "D", "no child"),),
    could_not_look=("/proc/x: EACCES",),
)


def test_a_name_cannot_command_the_terminal_nor_begin_a_line() -> None:
    proof = Proof("\x1b[2J\n", ("a\n  fix",), "Have \r\x0b\u2028 x.")
    lines = as_text(PROVED.replace(proof=proof)).split("\n")
    assert lines[:2] == ["  cause     \\x1b[2J\\n [MC0201]", "  proof     a\\n  fix"]
    assert "  fix       you: Have \\r\\x0b\\u2028 x." in lines


def test_the_text_of_a_proved_cause() -> None:
    assert (
        as_text(PROVED)
        == """\
  cause     it is 0 [MC0201]
  proof     the file reads 0
            so it is
  and then  a chroot [MC0203]
  step      enter, CreateNamespaces: clone(0x30020011) = ENOSPC (no space left on device)
  kernel    6.1 x86_64
  fix       you: do this
            you: Do that.
            administrator: do it
  more      minictr explain MC0201
"""
    )


def test_the_text_of_an_unknown_cause() -> None:
    assert (
        as_text(UNKNOWN)
        == """\
  cause     not known [MC0000]
  step      enter, CreateNamespaces: clone(0x30020011) = ENOSPC (no space left on device)
  kernel    6.1 x86_64
  ruled out MC0201, MC0202: it gives X
            MC0203 C: no
  open      MC0204 D: no child
  not seen  /proc/x: EACCES
  more      minictr explain MC0000
"""
    )


def test_the_json_has_the_same_in_it() -> None:
    record = json.loads(as_json(PROVED, 125))
    assert record["code"] == "MC0201"
    assert record["status"] == 125
    assert record["proof"] == ["the file reads 0", "so it is"]
    assert record["fix"] == {"user": ["do this", "Do that."], "administrator": ["do it"]}
    assert record["then"] == [{"code": "MC0203", "cause": "a chroot"}]
    assert record["step"]["errno_name"] == "ENOSPC"
    assert record["step"]["arguments"] == ["0x30020011"]
    assert json.loads(as_json(UNKNOWN, 125))["cause"] is None


def test_a_name_of_any_bytes_survives_in_the_json() -> None:
    odd = PROVED.replace(happened="file \udcff")
    assert json.loads(as_json(odd, 1))["happened"] == "file \udcff"


def test_a_refusal_is_a_diagnosis_without_a_step() -> None:
    refusal = Refusal("MC0104", "x.sif is an empty file", "st_size is 0", "Copy it again.")
    assert (
        as_text(diagnose_refusal(refusal))
        == """\
  cause     the image is an empty file [MC0104]
  proof     st_size is 0
  fix       Copy it again.
  more      minictr explain MC0104
"""
    )


# --- three values -------------------------------------------------------------------------------


def host_with(root: Path, **files: str) -> Host:
    """A host whose /proc/sys/user has these limits."""
    directory = root / "proc/sys/user"
    directory.mkdir(parents=True)
    for kind, text in files.items():
        (directory / f"max_{kind}_namespaces").write_text(text)
    return read_host(str(root))


def test_a_limit_of_0_is_a_proof(tmp_path: Path) -> None:
    host = host_with(tmp_path, user="0\n", mnt="12345\n", pid="12345\n")
    found = diagnose(FAILURE, PLAN, host, REQUEST)
    assert found.code == "MC0201"
    assert found.proof is not None
    assert found.proof.fix_administrator == "sysctl -w user.max_user_namespaces=12345"


def test_a_limit_above_0_rules_the_cause_out(tmp_path: Path) -> None:
    found = diagnose(FAILURE, PLAN, host_with(tmp_path, user="1\n", mnt="1\n", pid="1\n"), REQUEST)
    assert found.code == "MC0000"
    how = {code: reason for code, _, reason in found.ruled_out}
    assert how["MC0201"] == "/proc/sys/user/max_user_namespaces reads 1"


def test_a_limit_that_is_not_there_leaves_the_cause_open(tmp_path: Path) -> None:
    found = diagnose(FAILURE, PLAN, host_with(tmp_path), REQUEST)
    assert found.code == "MC0000"
    assert {"MC0201", "MC0202"} <= {code for code, _, _ in found.still_open}


def test_an_unreadable_fact_is_noted_once() -> None:
    class Closed(Host):
        def fact(self, path: str) -> Fact:
            return Fact(path, "", errno.EACCES)

    host = Closed(**read_host().__dict__)
    interview = Interview(FAILURE, PLAN, host, REQUEST)
    assert interview.fact("/etc/x") is interview.fact("/etc/x")
    assert interview.unseen == ("/etc/x: EACCES",)


def test_a_probe_that_fails_does_not_hide_the_failure() -> None:
    found = diagnose(FAILURE, PLAN.replace(enter=()), read_host(), REQUEST)
    assert found.failure == FAILURE
    assert any("its probe failed: IndexError" in why for _, _, why in found.still_open)


def test_a_step_without_causes_is_an_honest_unknown() -> None:
    failure = Failure("isolate", 0, Step(), "sethostname", ("x",), errno.EPERM)
    found = diagnose(failure, PLAN, read_host(), REQUEST)
    assert found.code == "MC0000"
    assert "the catalogue has no cause that stops Step" in as_text(found)


def test_a_process_that_died_is_told_by_its_signal() -> None:
    failure = FAILURE.replace(call="", arguments=(), errno=0, status=31)
    assert "ended by signal 31 (Bad system call)" in step_words(failure)
    assert diagnose(failure, PLAN, read_host(), REQUEST).code == "MC0000"


# --- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (None, "NULL"),
        (7, "7"),
        ("0x5000", "0x5000"),
        ("text", '"text"'),
        ("a\nb", '"a\\nb"'),
        (["a", 1], '["a", 1]'),
        ("x" * 200, '"' + "x" * 116 + "..."),
    ],
)
def test_arguments_are_shown_as_strace_shows_them(argument: object, words: str) -> None:
    assert argument_words(argument) == words


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("exec image.sif true", "minictr exec --no-pid image.sif true"),
        ("-v exec -e image.sif true", "minictr -v exec --no-pid -e image.sif true"),
        ("exec --id-map helpers image.sif true", "minictr exec --no-pid image.sif true"),
        ("exec --id-map=helpers -e image.sif true", "minictr exec --no-pid -e image.sif true"),
        ("something else", "minictr exec --no-pid image.sif true"),
    ],
)
def test_the_command_line_is_written_again(
    monkeypatch: pytest.MonkeyPatch, typed: str, written: str
) -> None:
    start = ["-c", "/package", "/site", "minictr"]
    monkeypatch.setattr(sys, "argv", [*start, *typed.split()])
    assert again(REQUEST, "--no-pid", without=("--id-map",)) == written


def test_another_image_keeps_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["minictr", "exec", "-e", "-B", "/srv", "image.sif", "true"])
    assert again(REQUEST, image="/tmp/copy") == "minictr exec -e -B /srv /tmp/copy true"


def test_a_word_that_a_shell_would_split_is_quoted() -> None:
    assert again(REQUEST, command=("a b",)) == "minictr exec image.sif 'a b'"


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("shell image.sif", "minictr exec image.sif ls /"),
        ("-q shell -e --shell /nosuch image.sif", "minictr -q exec -e image.sif ls /"),
        ("shell --shell=/nosuch -B srv:/s image.sif", "minictr exec -B srv:/s image.sif ls /"),
        ("shell -s /nosuch --scratch /s image.sif", "minictr exec --scratch /s image.sif ls /"),
        ("shell -es /nosuch image.sif", "minictr exec -e image.sif ls /"),
        ("shell -s/nosuch -Bsrv image.sif", "minictr exec -Bsrv image.sif ls /"),
        ("run -e image.sif", "minictr exec -e image.sif ls /"),
    ],
)
def test_another_command_is_started_by_exec(
    monkeypatch: pytest.MonkeyPatch, typed: str, written: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["minictr", *typed.split()])
    action = "shell" if "shell" in typed else "run"
    request = REQUEST.replace(action=action, command=())
    assert again(request, command=("ls", "/")) == written


def test_what_can_stand_before_the_shell_is_known() -> None:
    rows = [row for row in (*ACTION, *ACCEPTED, *OWN) if row[KIND] == "bool"]
    assert frozenset("".join(row[SHORT] for row in rows)) == BOOLEAN


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ("-n --network none", "minictr exec image.sif true"),
        ("--network=none --bind /srv", "minictr exec --bind /srv image.sif true"),
        ("-en --network none", "Leave --net and --network none out."),
        ("-ne --network none", "Leave --net and --network none out."),
    ],
)
def test_a_launch_is_written_again_without_its_network(
    monkeypatch: pytest.MonkeyPatch, options: str, written: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["minictr", "exec", *options.split(), "image.sif", "true"])
    assert without_network(REQUEST) == written
