"""The laboratory: runs a script with a fault in it, and reads the report that comes out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jsonschema
from ordinary_user import RunAsUser, User
from skipping import require

from minictr.diagnosis.catalogue import all_causes

# What every report of the lab has to be.
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).resolve().parents[2] / "docs/diagnosis.schema.json").read_text())
)
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
CANNOT = 77  # the status of a script whose fault this kernel, or this container, cannot have


@dataclass(frozen=True)
class Case:
    """One fault, with everything that has to be seen of it.

    script   what makes the fault and runs minictr; "" for the reproduction that `explain` prints
    proof    what cause and proof have to say, {user} and {directory} filled in
    fix      what a remedy has to say
    repaired the script with the printed fix applied: $USER_FIX and $ADMINISTRATOR_FIX are the
             commands that the report gave; it has to end with status 0
    near     a script with similar evidence and no such fault
    instead  the code that is right for `near`; "" where it succeeds
    prepare  run before each of the scripts
    status   the exit status that the fault gives
    impossible  why this machine cannot have the fault, "" where it can
    """

    code: str
    proof: tuple[str, ...]
    repaired: str
    near: str
    instead: str = ""
    fix: tuple[str, ...] = ()
    script: str = ""
    prepare: str = ""
    name: str = ""
    as_root: bool = False
    status: int = 125
    impossible: str = ""

    def __str__(self) -> str:
        return f"{self.code}{'-' if self.name else ''}{self.name}"

    @property
    def fault(self) -> str:
        return self.script or reproduction(self.code)[0]

    @property
    def by_root(self) -> bool:
        return self.as_root or reproduction(self.code)[1]


@dataclass(frozen=True)
class Outcome:
    """How a script ended: its status, and the report where one was written."""

    status: int
    report: dict[str, object]
    stdout: str
    stderr: str
    milliseconds: float = 0

    @property
    def code(self) -> str:
        return str(self.report.get("code", ""))

    @property
    def words(self) -> str:
        """Cause and proof; of a refused input what was refused, which names it."""
        proof = self.report.get("proof", [])
        assert isinstance(proof, list)
        happened = "" if self.report.get("step") else str(self.report.get("happened", ""))
        return "\n".join([happened, str(self.report.get("cause", "")), *proof])

    def fixes(self, who: str) -> list[str]:
        """The remedies for "user" or "administrator"."""
        fix = self.report.get("fix", {})
        assert isinstance(fix, dict)
        return [str(line) for line in fix.get(who, [])]

    def commands(self, who: str) -> str:
        """Those of them that are commands: a sentence ends with a full stop."""
        return "\n".join(line for line in self.fixes(who) if not line.endswith("."))


@dataclass(frozen=True)
class Lab:
    """A place where scripts are run: as the ordinary user, or as root in a mount namespace."""

    user: User
    run_as_user: RunAsUser
    environment: dict[str, str]
    path: str
    reset: Callable[[], None]  # makes image and directories anew

    def run(self, script: str, by_root: bool = False, **more: str) -> Outcome:
        """Run a script; root's sees a mount namespace of its own."""
        environment = {**self.environment, **more, "PATH": self.path}
        began = time.monotonic()
        if by_root:
            require(os.geteuid() == 0, "ROOT", "root makes this fault")
            done = self._as_root(script, environment)
        else:
            done = self.run_as_user(["sh", "-c", script], env=environment)
        require(done.returncode != CANNOT, "KERNEL", done.stderr.strip())
        spent = (time.monotonic() - began) * 1000
        return Outcome(done.returncode, _report(done.stderr), done.stdout, done.stderr, spent)

    def _as_root(
        self, script: str, environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        # Without the tool that gives the script an /etc of its own it would write to the machine's.
        script = f"command -v private-etc >/dev/null || exit\n{script}"
        home = {"HOME": str(self.user.home), "USER": self.user.name, "LANG": "C.UTF-8"}
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
            env={**home, **environment},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )


def reproduction(code: str) -> tuple[str, bool]:
    """(the script that a story has as its reproduction, whether root runs it); ("", False)."""
    found = re.search(
        r"^Reproduction \((.*?)\):\n\n((?:    .*\n|\n)+)", all_causes()[code].story + "\n", re.M
    )
    if not found:
        return "", False
    lines = [line.removeprefix("    ") for line in found.group(2).splitlines()]
    return "\n".join(lines).strip() + "\n", found.group(1).startswith("root")


def _report(stderr: str) -> dict[str, object]:
    lines = [line for line in stderr.splitlines() if line.startswith("{")]
    report = json.loads(lines[-1]) if lines else {}
    assert isinstance(report, dict)
    if "verdict" in report:  # an answer of `minictr why`
        report = report["diagnosis"] or {}
    if report:
        SCHEMA.validate(report)
    return report


def tools(root: Path) -> Path:
    """The directory of the lab's own programs in a checkout."""
    return root / "tests/lab/tools"
