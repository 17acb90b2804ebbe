"""Fault: a Case of the lab that a virtual machine makes."""

from __future__ import annotations

from dataclasses import dataclass

from lab.bench import Case

ASKED = "6.12"  # its tracing is asked, and its reports are kept as text
EVERY = ("5.10", "6.1", "6.12", "7.2")


@dataclass(frozen=True)
class Fault(Case):
    """A Case of the lab, made in a virtual machine.

    kernels  where the fault is made
    harmless kernels on which the same script succeeds: they do not have the fault
    machine  how it is started: "plain", "ramfs", "disk" with room for large images, "quota" with
             a disk that has those, "selinux" or "selinux:POLICY", of those that build-vm makes
    fixed_on where the fix is tried, where that is not everywhere
    before   run by root before the job
    undo     run after the job: what it left in the kernel
    asked    whether the kernel's tracing is asked which function refused
    of_the_lab  whether tests/lab makes it as well
    """

    kernels: tuple[str, ...] = EVERY
    harmless: tuple[str, ...] = ()
    machine: str = "plain"
    fixed_on: tuple[str, ...] = EVERY
    before: str = ""
    undo: str = ""
    asked: bool = True
    of_the_lab: bool = False

    @property
    def enforcing(self) -> bool:
        return self.machine.startswith("selinux")


AS_USER = 'runuser -u "$USER" --'
COMMANDS = 'eval "$ADMINISTRATOR_FIX" >/dev/null'
