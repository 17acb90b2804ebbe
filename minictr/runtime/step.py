"""Step: one verb of a launch as a value, which can be printed, traced, compared and explained."""

from __future__ import annotations

from minictr.value import Value


class Process:
    """What the running process knows that no plan could: the only mutable thing of a launch.

    channel      descriptors of this process's end of the channel
    pid          the container's first process as the launcher sees it (map_ids), else 0
    environment  what the payload starts with, once its image's scripts have been heard
    """

    def __init__(self, channel: tuple[int, ...], pid: int = 0) -> None:
        self.channel = channel
        self.pid = pid
        self.environment: dict[str, str] = {}


class Step(Value):
    """A verb and its object. The docstring is its section of docs/tour.md."""

    calls = ""  # the system calls, as the manual writes them

    def prepare(self) -> None:
        """All that opens, reads or compiles. Runs in the launcher before any process is made."""

    def run(self, process: Process) -> None:
        """System calls only. Raises CallError."""
        raise NotImplementedError

    def by_init(self) -> bool:
        """Whether PID 1 can take this step of the payload in its stead, and so save a fork."""
        return False

    def verb(self) -> str:
        return type(self).__name__

    def operands(self) -> str:
        """What `plan` prints after the verb."""
        return " ".join(
            f"{name}={value}" if value is not True else name
            for name in self.fields
            if (value := self.__dict__[name]) not in ("", False, None, ())
        )
