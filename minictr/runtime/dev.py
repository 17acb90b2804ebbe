"""The build phase: the step that gives a container a /dev of its own."""

from __future__ import annotations

from minictr.runtime.files import mkdir, symlink
from minictr.runtime.mounts import HOST, ROOT, make_mount_point, resolve
from minictr.runtime.step import Process, Step
from minictr.runtime.syscalls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, mount


class MountMinimalDev(Step):
    """Build a /dev with the harmless devices only.

    A user namespace may not make device nodes (mknod(2) gives EPERM), so the host's are bound. A
    devpts of its own gives pseudo-terminals that nobody outside sees; gid=5 (tty) is left out
    because it has no id in a single-line map (EINVAL).
    """

    calls = "mount(2) tmpfs, MS_BIND, devpts; symlink(2)"
    nodes: tuple[str, ...]  # names that the host's /dev has
    terminal: str = ""  # the caller's terminal, bound as /dev/console
    terminals: bool = True  # mount a devpts
    target: str = "/dev"

    def run(self, process: Process) -> None:
        dev = resolve(ROOT, self.target)
        mount("dev", dev, "tmpfs", MS_NOSUID, "mode=0755,size=1m")
        for name in self.nodes:
            make_mount_point(f"{dev}/{name}", False)
            mount(f"{HOST}/dev/{name}", f"{dev}/{name}", None, MS_BIND)
        for name, target in (
            ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"),
        ):  # fmt: skip
            symlink(target, f"{dev}/{name}")
        mkdir(dev + "/pts", 0o755)
        if self.terminals:
            flags = MS_NOSUID | MS_NOEXEC
            mount("devpts", dev + "/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620")
        mkdir(dev + "/shm", 0o1777)
        mount("shm", dev + "/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
        if self.terminal:
            make_mount_point(dev + "/console", False)
            mount(HOST + self.terminal, dev + "/console", None, MS_BIND)
