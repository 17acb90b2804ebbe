"""The interview: what the probes of one failure share, each fact asked for once."""

from __future__ import annotations

import errno
import posix

from minictr.host import Fact, Host
from minictr.request import Request
from minictr.runtime.launch import Failure, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar  # 6 ms, which a report can do without

    T = TypeVar("T")


class Interview:
    """One failure with everything that can be asked about it.

    The witness is alive and blocked, so /proc/WITNESS can be read for as long as this lasts.
    What a probe could not look at is kept, and said in the report: it is not absence.
    """

    def __init__(self, failure: Failure, plan: Plan, host: Host, request: Request) -> None:
        self.failure = failure
        self.plan = plan
        self.host = host
        self.request = request
        self._known: dict[tuple[object, ...], object] = {}
        self._unseen: dict[str, None] = {}

    def once(self, probe: Callable[..., T], *arguments: object) -> T:
        """What the probe answers for these arguments; it runs the first time only."""
        key = (probe, *arguments)
        if key not in self._known:
            self._known[key] = probe(*arguments)
        return self._known[key]  # type: ignore[return-value]

    def fact(self, path: str) -> Fact:
        """What a file of this machine says, as the caller reads it."""
        found = self.once(self.host.fact, path)
        if found.unreadable:
            self.cannot_look(f"{path}: {errno.errorcode.get(found.errno, found.errno)}")
        return found

    def cannot_look(self, what: str) -> None:
        """Note what could not be looked at, and why."""
        self._unseen[what] = None

    @property
    def unseen(self) -> tuple[str, ...]:
        return tuple(self._unseen)

    def container(self) -> str:
        """The container's root directory as the launcher can look into it; "" where it cannot."""
        root = f"/proc/{self.failure.witness}/root"
        try:
            posix.stat(root + "/")
        except OSError as error:
            self.cannot_look(f"{root}: {errno.errorcode.get(error.errno or 0, error.errno)}")
            return ""
        return root
