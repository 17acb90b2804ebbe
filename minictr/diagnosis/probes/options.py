"""Which options leave a namespace out of a launch."""

from __future__ import annotations

from minictr.request import Request

WITHOUT = {"pid": "--no-pid", "ipc": "--ipc=false", "uts": "--uts=false"}


def can_go_without(request: Request, kind: str) -> bool:
    """Whether an option leaves this kind of namespace out of the launch."""
    if kind == "pid":
        return True
    if kind == "ipc":  # --containall has no option against it
        return not (request.contain and request.cleanenv)
    return kind == "uts" and not request.hostname
