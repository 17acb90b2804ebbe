"""Says what was seen of a command that failed without a refusal that counts."""

from __future__ import annotations

from minictr.diagnosis.watch.choose import Choice
from minictr.diagnosis.watch.trace import Traced


def unrefused(traced: Traced, choice: Choice) -> tuple[str, ...]:
    """How much was watched, what was refused without a tie to the failure, the last words."""
    calls, processes = len(traced.record.calls), len(traced.record.parents) + 1
    watched = f"{calls} calls of {processes} processes watched: "
    doubtful = choice.doubtful()
    if doubtful:
        return (
            f"{watched}what was refused is not tied to the failure; last of it",
            f"  {doubtful[-1]}",
            traced.outcome.last,
        )
    return (
        f"{watched}none that makes namespaces, maps, mounts or starts programs was refused without "
        "its process getting over it",
        traced.outcome.last,
    )
