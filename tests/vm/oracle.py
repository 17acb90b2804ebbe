"""Has the kernel say which of its functions refused a call: kretprobes, tracefs.

Two runs of the fault. function_graph tells which functions the refused system call goes through;
then each of them gets a probe at its entry and one at its return, which make the tree of calls
with every function's answer. Down from the system call, along the functions that returned its
error, the deepest one is where the error was made.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

TRACING = Path("/sys/kernel/tracing")
# What the report calls a call -> the kernel's function for it.
ENTRIES = {
    "clone": "__x64_sys_clone",
    "unshare": "__x64_sys_unshare",
    "mount": "__x64_sys_mount",
    "mount_setattr": "__x64_sys_mount_setattr",
    "pivot_root": "__x64_sys_pivot_root",
    "umount2": "__x64_sys_umount",
    "fsopen": "__x64_sys_fsopen",
    "sethostname": "__x64_sys_sethostname",
    "open": "do_sys_openat2",
    "write": "__x64_sys_write",
    "mkdir": "__x64_sys_mkdir",
    "readlink": "__x64_sys_newfstatat",  # what is read was found to be a link before
    "chdir": "__x64_sys_chdir",
    "execve": "__x64_sys_execve",
    "ioctl": "__x64_sys_ioctl",
}
# Calls that other programs make in vain as well -> the launcher's name then.
OFTEN = dict.fromkeys(("open", "execve"), "minictr")
HELPERS = ("newuidmap", "newgidmap")
# How newuidmap(1) tells which of its calls failed, and with what.
SAID = re.compile(r"(open|write) (?:of|to) [ug]id_map failed: (.*)")
NUMBERS = {os.strerror(number): number for number in (errno.EPERM, errno.EACCES, errno.EINVAL)}
SHOWN = 7  # characters of a program's name in the output of function_graph
# They refuse nothing, and run all the time.
NEVER = re.compile(
    r"^_*(raw_|rcu|preempt|cond_|might|irq|mutex|down|up_|kmalloc|kmem|kfree|call_rcu|map_id|slab|blake2s|"
    r"lruvec|mod_|memcg|obj_cgroup|find_vma?p_area|get_random|alloc_pages|fput|dput|lock|unlock|pcpu|"
    r"traceiter|psi_|update_|enqueue|dequeue|rb_|vm_normal|pte_|handle_softirqs|note_gp|record_times)"
)
MOST = 300  # functions
EVENT = re.compile(r" *([^ ]+)-(\d+) [^:]*: ([pr])\d+: \(([^)]*)\)(?: ret=(-?\d+))?")
# Has the kernel record what a command and its children do, and nobody else.
ONLY = """for file in set_ftrace_pid set_event_pid; do echo $$ >/sys/kernel/tracing/$file; done
exec "$@" """


class Wanted(NamedTuple):
    """The call to look for: the kernel's function, the error, whose it is, and of which file.

    "" for any program, and for any file.
    """

    entry: str
    error: int
    program: str
    file: str = ""

    def end(self) -> str:
        """What is recorded of the call's end."""
        file = " file=+0($arg2):ustring" if self.file else ""
        return f"{self.entry} ret=$retval:s64{file}"

    def fits(self, program: str, line: str) -> bool:
        """Whether that is the call, of whose end a line of the trace tells."""
        found = re.search(r" ret=(-?\d+)(?: file=\"(.*)\")?", line)
        return bool(
            found
            and int(found[1]) == self.error
            and program.startswith(self.program)
            and (found[2] or "").endswith(self.file)
        )


def observe(step: dict, fault: Callable[[], object]) -> dict:
    """{"chain": the functions from the system call to the one that refused, "asked": ...}."""
    wanted = wanted_of(step)
    if isinstance(wanted, str):
        return {"chain": [], "why": wanted}
    if not (TRACING / "kprobe_events").exists():
        subprocess.run(["mount", "-t", "tracefs", "tracefs", str(TRACING)], check=True)
    names = called(wanted, fault)
    if not names:
        return {"chain": [], "why": f"no {wanted.entry} gave the error"}
    return chain(probed(names, wanted, fault), wanted)


def wanted_of(step: dict) -> Wanted | str:
    """What the step's report says of the call that failed; or why the kernel refused nothing."""
    call = step["call"]
    if not call:
        return "a signal ended the process"
    if call in HELPERS:
        said = SAID.search(step["said"])
        if said and said[2] in NUMBERS:
            opened = said[1] == "open"
            names = (call[:SHOWN], f"{call[3:6]}_map") if opened else ("", "")
            return Wanted(ENTRIES[said[1]], -NUMBERS[said[2]], *names)
        killed = "ended by signal" in step["said"]
        return "a signal ended the helper" if killed else "the helper refuses by itself"
    if not step["errno"]:
        return "the step refuses by itself"
    if call not in ENTRIES:
        return f"nobody knows the kernel's entry for {call}"
    file = step["arguments"][0].strip('"') if call == "open" else ""
    return Wanted(ENTRIES[call], -step["errno"], OFTEN.get(call, ""), os.path.basename(file))


def called(wanted: Wanted, fault: Callable[[], object]) -> list[str]:
    """The functions below the call of its entry that gave the error."""
    write("kprobe_events", f"r:oracle/end {wanted.end()}")
    write("set_graph_function", wanted.entry)
    for name in ("funcgraph-proc", "function-fork", "event-fork"):
        write(f"options/{name}", 1)
    write("options/funcgraph-irqs", 0)
    write("buffer_size_kb", 65536)
    write("current_tracer", "function_graph")
    write("events/oracle/enable", 1)
    text = recorded(fault)
    write("current_tracer", "nop")
    write("set_graph_function", "")
    clear()
    return below(text, wanted)


def below(text: str, wanted: Wanted) -> list[str]:
    """Of the output of function_graph: what ran between an entry and its end with the error."""
    open_calls: dict[str, list[str]] = {}
    for line in text.splitlines():
        found = re.match(r"\s*\d+\)\s+(\S+?)-(\d+)\s", line)
        if not found:
            continue
        who = f"{found[1]}-{found[2]}"
        names = open_calls.setdefault(who, [])
        if "/* end: " in line:
            if wanted.fits(found[1], line):
                return [name for name in dict.fromkeys(names) if not NEVER.match(name)][:MOST]
            names.clear()
        elif name := re.search(r"\|\s+([\w.]+)(?: \[\w+\])?\(\)", line):
            names.append(name[1])
    return []


def probed(names: list[str], wanted: Wanted, fault: Callable[[], object]) -> str:
    """What the probes on those functions record of the fault made once more."""
    write("kprobe_events", f"r:oracle/r0 {wanted.end()}")
    write("kprobe_events", f"p:oracle/p0 {wanted.entry}", more=True)
    for number, name in enumerate((name for name in names if name != wanted.entry), 1):
        try:
            probe(str(number), name)
        except OSError:  # it may not be probed: __kprobes, notrace, or two of that name
            for part, place in enumerate(places(name)):
                with contextlib.suppress(OSError):
                    probe(f"{number}{part:02}", place)
    # Record within the system call only: a launch makes a million of these events.
    write("events/oracle/enable", 1)
    write("events/oracle/p0/trigger", "traceon")
    write("events/oracle/r0/trigger", f"traceoff if ret != {MOST}")
    text = recorded(fault, on=0)
    write("events/oracle/p0/trigger", "!traceon", more=True)
    write("events/oracle/r0/trigger", "!traceoff", more=True)
    clear()
    return text


def probe(number: str, place: str) -> None:
    """A probe at the entry of a function, and one at its return."""
    write("kprobe_events", f"r:oracle/r{number} {place} ret=$retval:s32", more=True)
    write("kprobe_events", f"p:oracle/p{number} {place}", more=True)


@functools.cache
def symbols() -> dict[str, list[int]]:
    """Where each function lies; several have one name."""
    found: dict[str, list[int]] = {}
    for line in Path("/proc/kallsyms").read_text().splitlines():
        address, _, name, *module = line.split()
        if not module:
            found.setdefault(name, []).append(int(address, 16))
    return found


def places(name: str) -> list[str]:
    """How the functions are called of a name that several have."""
    (text,) = symbols()["_text"]
    several = symbols().get(name, [])
    return [f"_text+{address - text}" for address in several] if len(several) > 1 else []


def chain(text: str, wanted: Wanted) -> dict:
    """The way from the entry to the deepest function that returned the error."""
    stacks: dict[str, list[dict]] = {}
    for line in text.splitlines():
        found = EVENT.match(line)
        if not found or not found[1].startswith(wanted.program):
            continue
        stack = stacks.setdefault(found[2], [{"name": "", "calls": []}])
        if found[3] == "p":
            stack.append({"name": found[4].split("+")[0], "calls": [], "ret": 0})
            continue
        name = found[4].rpartition("<- ")[2].partition("+")[0].split()[0]
        ended = returned(stack, name, int(found[5]))
        if name == wanted.entry and ended and wanted.fits(found[1], line):
            return described(ended)
    return {"chain": [], "why": "the fault did not occur under the probes"}


def returned(stack: list[dict], name: str, answer: int) -> dict | None:
    """Take a function off the stack; what it called and never returned from did so unseen."""
    if all(call["name"] != name for call in stack):
        return None  # it was entered before the recording began
    unseen: list[dict] = []
    while (ended := stack.pop())["name"] != name:
        unseen = [*ended["calls"], *unseen]
    ended["calls"] += unseen
    ended["ret"] = answer
    stack[-1]["calls"].append(ended)
    return ended


def described(call: dict) -> dict:
    """The chain, and what the last of it asked before it refused: (function, answer)."""
    error, names = call["ret"], [call["name"]]
    while inner := [one for one in call["calls"] if one["ret"] == error]:
        call = inner[-1]
        names.append(call["name"])
    return {"chain": names, "asked": [[one["name"], one["ret"]] for one in call["calls"]]}


def recorded(fault: Callable[[], object], on: int = 1) -> str:
    write("trace", "")
    write("tracing_on", on)
    fault()
    write("tracing_on", 0)
    return (TRACING / "trace").read_text(errors="replace")


def clear() -> None:
    write("events/oracle/enable", 0)
    write("kprobe_events", "")


def write(name: str, value: object, more: bool = False) -> None:
    """Write to a file of tracefs in one write(2); `more` keeps what it holds."""
    descriptor = os.open(TRACING / name, os.O_WRONLY | (os.O_APPEND if more else os.O_TRUNC))
    try:
        os.write(descriptor, f"{value}\n".encode())
    finally:
        os.close(descriptor)
