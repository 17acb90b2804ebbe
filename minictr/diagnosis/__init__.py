"""Finds out why a launch failed: asks each cause that can stop the step for its proof."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.catalogue import UNKNOWN, entry_of, stopping
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.kernel_words import kernel_words
from minictr.diagnosis.shortage import limit_behind
from minictr.diagnosis.values import Cause, Diagnosis, Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.words import errno_name, happened
from minictr.host import Host
from minictr.refusal import Refusal
from minictr.request import Request
from minictr.runtime.launch import Failure, Plan


def diagnose(failure: Failure, plan: Plan, host: Host, request: Request) -> Diagnosis:
    """The first cause, in the kernel's own order, that the facts prove; MC0000 where none is."""
    interview = Interview(failure, plan, host, request)
    known = Diagnosis(
        happened=happened(failure, request),
        failure=failure,
        code=UNKNOWN,
        title="",
        proof=None,
        kernel=_kernel(),
    )
    ruled_out, still_open = [], []
    candidates = stopping(failure.step.verb())
    for position, entry in enumerate(candidates):
        verdict = hear(entry, interview)
        if isinstance(verdict, Proof):
            then = _behind(candidates[position + 1 :], interview)
            return known.replace(code=entry.code, title=entry.title, proof=verdict, then=then)
        if isinstance(verdict, Excluded):
            ruled_out.append((entry.code, entry.title, verdict.how))
        if isinstance(verdict, Unknown):
            still_open.append((entry.code, entry.title, verdict.why))
    return known.replace(
        title=_unknown().title,
        failure=failure.replace(said=failure.said or interview.once(kernel_words, failure)),
        ruled_out=tuple(ruled_out),
        still_open=tuple(still_open),
        could_not_look=interview.unseen,
    )


def diagnose_refusal(refusal: Refusal) -> Diagnosis:
    """The same value for an input that was refused: whoever refused it has the proof."""
    if isinstance(refusal.diagnosis, Diagnosis):
        return refusal.diagnosis
    entry = entry_of(refusal.code) or _unknown()
    limited = limit_behind(refusal) if entry.code == UNKNOWN else None
    if limited:
        entry = entry_of(limited[0]) or entry
    proved = entry.code != UNKNOWN
    cause = entry.title if proved else refusal.cause
    seen = tuple(refusal.proof.splitlines())
    proof = Proof(cause, seen, refusal.fix, refusal.fix_administrator)
    if refusal.place:
        from minictr.diagnosis.quota import with_limits

        proof = with_limits(proof, refusal.place)
    return Diagnosis(
        happened=refusal.cause,
        failure=None,
        code=entry.code,
        title=entry.title,
        proof=limited[1] if limited else proof,
        kernel=_kernel(),
    )


def hear(entry: Cause, interview: Interview) -> Verdict:
    """Ask for the proof of one cause. A probe's own mistake must not hide the failure itself."""
    number = interview.failure.errno
    if entry.errnos and number not in entry.errnos:
        names = " or ".join(errno.errorcode[code] for code in entry.errnos)
        return Excluded(f"it gives {names}, not {errno.errorcode.get(number, number)}")
    assert entry.probe
    try:
        return entry.probe(interview)
    except Exception as error:
        return Unknown(f"its probe failed: {type(error).__name__}: {error}")


def _behind(candidates: list[Cause], interview: Interview) -> tuple[tuple[str, str], ...]:
    """The causes that the kernel would meet next: proved by facts that stand without the call."""
    found = []
    for entry in candidates:
        if not entry.standing:
            continue
        verdict = hear(entry.replace(errnos=()), interview)
        if isinstance(verdict, Proof):
            found.append((entry.code, verdict.cause))
    return tuple(found)


def _unknown() -> Cause:
    entry = entry_of(UNKNOWN)
    assert entry
    return entry


def _kernel() -> tuple[str, str]:
    """(release, machine); a filter around minictr may keep even these back."""
    try:
        system = posix.uname()
    except OSError as refused:
        return f"uname(2): {errno_name(refused.errno or 0)}", ""
    return system.release, system.machine
