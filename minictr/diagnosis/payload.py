"""The step that is not ours: the command, from its first instruction to its end."""

from __future__ import annotations

from minictr.runtime.execute import search
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import CallError


class RunPayload(Step):
    """Run the command: what begins when the last step of ours has ended.

    To look for what the command lacked the container is built a second time, and this step stands
    in the command's place: it says where the command is, and blocks.
    """

    command: str
    killed_before: int = -1  # processes of the caller's control group, for want of memory

    def run(self, process: Process) -> None:
        path = process.environment.get("PATH", "")
        libraries = process.environment.get("LD_LIBRARY_PATH", "")
        preloaded = process.environment.get("LD_PRELOAD", "")
        found = self.command if "/" in self.command else search(self.command, path)
        raise CallError("stand", (found, path, libraries, preloaded), 0)
