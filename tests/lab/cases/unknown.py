"""What has to stay without a cause."""

from __future__ import annotations

from lab.bench import Case

CASES = [
    Case(
        "MC0000",
        proof=(),
        repaired='minictr exec --hostname inside "$IMAGE" true',
        near='filtered --refuse clone:user -- minictr exec --hostname inside "$IMAGE" true',
        instead="MC0204",
    ),
]
