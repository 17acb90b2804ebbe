"""Waits, through one run of the command, for the refused call to come again."""

from __future__ import annotations

from collections.abc import Callable

from minictr.diagnosis.values import Diagnosis
from minictr.diagnosis.watch.choose import Refused
from minictr.diagnosis.watch.record import Call
from minictr.diagnosis.watch.sought import Sought
from minictr.diagnosis.watch.stand_in import Helped
from minictr.diagnosis.watch.standing import Standing, standing
from minictr.diagnosis.watch.steps import failure_of
from minictr.runtime.launch import Failure

Diagnose = Callable[[Failure, Standing], Diagnosis]


class Moment:
    """What was found while the process that fails stood still; None until then."""

    def __init__(self, target: Sought, diagnose: Diagnose) -> None:
        self.found: Diagnosis | None = None
        self._target = target
        self._diagnose = diagnose
        self._left = target.occurrence

    def seen(self, call: Call, held: bool) -> None:
        """A call has failed; `held` where its process stands still."""
        if not self._target.matches(call):
            return
        self._left -= 1
        if self._left == 0 and held:
            failure = self._target.failure.replace(witness=call.thread)
            self.found = self._diagnose(failure, standing(call.thread))

    def helped(self, one: Helped) -> None:
        """A helper has run; the program waits for it still."""
        if self.found is None and one.status:
            failure = failure_of(Refused(one.pid, 0, helped=one), self._target.program)
            self.found = self._diagnose(failure, standing(one.pid))
