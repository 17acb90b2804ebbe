"""The build phase: steps that put something empty, or read-only, where the host's would be."""

from __future__ import annotations

from minictr.runtime.mounts import ROOT, exists, make_mount_point, remount, resolve
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import MS_BIND, MS_NODEV, MS_NOSUID, MS_RDONLY, MS_REC, mount


class MountEmpty(Step):
    """Mount an empty tmpfs: a place of the container's own, or a cover over one of the host's."""

    calls = "mount(2) tmpfs"
    target: str
    mode: int = 0o755
    size: str = ""

    def run(self, process: Process) -> None:
        options = f"mode={self.mode:04o}" + (f",size={self.size}" if self.size else "")
        target = resolve(ROOT, self.target)
        if not exists(target):
            make_mount_point(target, True)
        mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options)

    def operands(self) -> str:
        return f"on {self.target} mode {self.mode:04o} {self.size}".rstrip()


class ProtectProc(Step):
    """Make those files of proc read-only with which the host's root rules the host's kernel.

    For root as the caller. He has no capability in here, but /proc/sys/kernel/core_pattern and its
    like ask for the uid only, and his is the host's.
    """

    calls = "mount(2) MS_BIND, MS_REMOUNT"
    names: tuple[str, ...] = ("sys", "sysrq-trigger", "irq", "bus", "fs")

    def run(self, process: Process) -> None:
        for name in self.names:
            path = resolve(ROOT, f"/proc/{name}")
            if exists(path):
                mount(path, path, None, MS_BIND | MS_REC)
                remount(path, MS_RDONLY)
