"""Runs `minictr why` as an ordinary user, and reads its answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from lab.bench import SCHEMA, SYSTEM_PATH, tools
from ordinary_user import RunAsUser
from readable import Checkout
from skipping import require_program


class Answer:
    """What `why` wrote and gave."""

    def __init__(self, status: int, stdout: str, stderr: str) -> None:
        self.status, self.stdout, self.stderr = status, stdout, stderr
        lines = [line for line in stderr.splitlines() if line.startswith('{"')]
        self.report: dict[str, object] = json.loads(lines[-1]) if lines else {}
        diagnosis = self.report.get("diagnosis")
        self.diagnosis: dict[str, object] = diagnosis if isinstance(diagnosis, dict) else {}
        _ = self.diagnosis and SCHEMA.validate(self.diagnosis)
        proof = self.diagnosis.get("proof", [])
        self.words = "\n".join([str(self.diagnosis.get("cause")), *proof])

    @property
    def why(self) -> str:
        found = self.report["why"]
        assert isinstance(found, list)
        return "\n".join(found)

    def __getitem__(self, name: str) -> object:
        assert self.report, self.stderr
        return self.diagnosis.get("code") if name == "code" else self.report[name]


Why = Callable[..., Answer]


@pytest.fixture
def why(run_as_user: RunAsUser, checkout: Checkout, directory: Path, nothing_left: None) -> Why:
    """Run a script of the user's that starts `minictr why`, with JSON as the form."""
    require_program("strace", "STRACE", "strace")
    path = f"{checkout.program.parent}:{tools(checkout.root)}:{SYSTEM_PATH}"

    def run(script: str, stdin: str | None = None, **more: str) -> Answer:
        environment = {"PATH": path, "DIRECTORY": str(directory), "MINICTR_DIAGNOSIS": "json"}
        done = run_as_user(
            ["sh", "-c", script], env={**environment, **more}, cwd=directory, stdin=stdin
        )
        assert "/minictr/cli/" not in done.stderr  # in a traceback of ours
        return Answer(done.returncode, done.stdout, done.stderr)

    return run
