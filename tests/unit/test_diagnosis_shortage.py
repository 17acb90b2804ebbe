"""What led to an error is walked once, whatever ring the errors make."""

from __future__ import annotations

import errno
import signal

import pytest

from minictr.diagnosis.shortage import limit_behind


def ring(length: int) -> OSError:
    """An error that is, by `length` others, its own cause."""
    errors = [OSError(errno.ENOTTY, "no terminal") for _ in range(length + 1)]
    for number, error in enumerate(errors):
        error.__cause__ = errors[number - 1]
    return errors[0]


@pytest.mark.parametrize("length", [0, 1, 2])
def test_an_error_that_is_its_own_cause_is_looked_at_once(length: int) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(20)  # a walk without an end would end the tests
    assert limit_behind(ring(length)) is None
    signal.alarm(0)
