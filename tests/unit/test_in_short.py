"""What is told where there is no memory for a report: the limit, and the same words for it."""

from __future__ import annotations

import errno
import json
import resource
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from minictr.diagnosis.catalogue import all_causes
from minictr.in_short import is_shortage

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/diagnosis.schema.json").read_text())
# With 8 MiB left: little, and enough for the interpreter.
LIMITED = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import minictr.in_short as short
kind, field, hard = getattr(resource, sys.argv[2]), sys.argv[3], int(sys.argv[5])
line = next(line for line in open("/proc/self/status") if line.startswith(field))
resource.setrlimit(kind, (int(line.split()[1]) * 1024 + (8 << 20), hard))
short.tell("FATAL:   ", 255, sys.argv[4] == "json", MemoryError(), None)
"""


def told(kind: str, field: str, form: str = "text", hard: int = resource.RLIM_INFINITY) -> str:
    words = [str(ROOT), kind, field, form, str(hard)]
    command = [sys.executable, "-I", "-S", "-c", LIMITED, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


@pytest.mark.parametrize(
    ("kind", "field", "fix"),
    [
        ("RLIMIT_AS", "VmSize:", "ulimit -S -v unlimited"),
        ("RLIMIT_DATA", "VmData:", "ulimit -S -d unlimited"),
    ],
)
def test_the_limit_that_is_near_is_named(kind: str, field: str, fix: str) -> None:
    lines = told(kind, field).splitlines()
    assert lines[0] == "FATAL:   minictr cannot go on"
    assert lines[1] == (
        f"  cause     {kind} leaves minictr and what it starts too little memory [MC0705]"
    )
    assert lines[2].startswith(f"  proof     /proc/self/limits: {kind} is ")
    assert lines[3].startswith(f"            /proc/self/status: {field} ")
    assert lines[4:] == [f"  fix       {fix}", "  more      minictr explain MC0705"]


def test_a_hard_limit_is_what_the_fix_reaches() -> None:
    assert f"  fix       ulimit -S -v {1 << 20}\n" in told("RLIMIT_AS", "VmSize:", hard=1 << 30)


def test_the_object_is_that_of_a_report() -> None:
    report = json.loads(told("RLIMIT_AS", "VmSize:", "json"))
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert (report["code"], report["status"]) == ("MC0705", 255)
    assert report["title"] == all_causes()["MC0705"].title
    assert report["fix"] == {"user": ["ulimit -S -v unlimited"], "administrator": []}


def test_a_limit_that_is_far_away_is_not_blamed() -> None:
    script = "import sys; sys.path.insert(0, sys.argv[1])\nimport minictr.in_short as short\n"
    script += 'short.tell("minictr: error: ", 125, True, MemoryError(), None)'
    command = ["prlimit", f"--as={8 << 30}", sys.executable, "-I", "-S", "-c", script, str(ROOT)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr == "minictr: error: MemoryError: no memory is left\n"


def test_what_says_that_memory_was_refused() -> None:
    assert is_shortage(MemoryError())
    assert is_shortage(OSError(errno.ENOMEM, ""))
    assert is_shortage(SystemError("error return without exception set"))
    assert is_shortage(ImportError("x.so: failed to map segment from shared object"))
    assert not is_shortage(OSError(errno.EMFILE, ""))
    assert not is_shortage(SystemError("bad argument to internal function"))
    assert not is_shortage(ImportError("no module"))
