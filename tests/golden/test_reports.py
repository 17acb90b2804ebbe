"""The text of each report against the kept one; `GOLDEN=write just golden` writes those."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from lab.bench import Lab, reproduction
from lab.cases import CASES
from skipping import require

from minictr.diagnosis.catalogue import all_causes

KEPT = Path(__file__).parent / "reports"
PREPARED = {case.code: case for case in reversed(CASES) if not case.name}
SHOWN = sorted(PREPARED)

# What differs from machine to machine and from run to run, and what stands for it.
VARIABLE = (
    (r"^  kernel    .*$", "  kernel    RELEASE MACHINE"),
    (r"mountinfo: \d+ .*$", "mountinfo: LINE"),
    (r"mount \d+, here", "mount N, here"),
    (r"/proc/\d+/", "/proc/PID/"),
    (r"[\w:.-]+ \(pid \d+\)", "NAME (pid N)"),
    (r"\b(x86[-_]64|aarch64|amd64|arm64)\b", "MACHINE"),
    (r"e_machine of (\S+) is \d+", r"e_machine of \1 is N"),
    (r"/lib\S*/ld-[\w.-]+", "LOADER"),
    (r"(namespaces=|Seccomp_filters )\d+", r"\1N"),
    (r'"(USER:x:\d+:\d+:).*\\n"', r'"\1ENTRY"'),  # with the home and the shell that the user has
    (r"\b\d+-\d+\b", "FIRST-LAST"),
    (r"\b(uid|gid|owner|group|inode|size) \d+\b", r"\1 N"),
    (r"\b\d{3,}\b(?! bytes)", "N"),
    (r"\b(\d+|N) of (\d+|N) (bytes|inodes)", "N of N"),
    (r"\b[0-9a-f]{16}\b", "CAPABILITIES"),
    (r'(MapIds: new[ug]idmap\("[^"]*"), "\d+"', r'\1, "N"'),
    (r'(MapIds: new[ug]idmap\("[^"]*"), .*\.\.\.\)', r"\1, ARGUMENTS...)"),
    (r'failed: "(new[ug]idmap): .*"$', r'failed: "\1: WHY"'),
    (r"(clone\(0x)[0-9a-f]+", r"\1FLAGS"),
    (r"no newuidmap in .*$", "no newuidmap in PLACES"),
    (r"no newgidmap in .*$", "no newgidmap in PLACES"),
    (r"no executable (\w+) in .*$", r"no executable \1 in PLACES"),
    (r"import pyseccomp: .*$", "import pyseccomp: WHY"),
    (r"(lib\w+\.so)[\d.]+", r"\1.N"),
    (r"\b\d+ (processes and threads|threads with|descriptors)", r"N \1"),
    (r"(ulimit -S -[nu]) \w+", r"\1 N"),
    (r"\w+ \(hard\)", "N (hard)"),
    (r"would have \d+ bytes", "would have N bytes"),
    (r"/sys/fs/cgroup/\S*tests-of-minictr-\w+", "CGROUP"),
    (r"rose from \d+ to \d+", "rose from N to M"),
    (r"memory\.(oom_control|events)", "memory.EVENTS"),
    (r"memory\.(limit_in_bytes|max)", "memory.LIMIT"),
    (r"(asks?) for \d+ bytes", r"\1 for N bytes"),
    (r"have \d+ bytes, and", "have N bytes, and"),
    (r"\d+ strings, (.*): \d+ bytes", r"N strings, \1: N bytes"),
    (r'(execve\("/bin/true", \[).*\]', r"\1SIZES]"),
    (r"--pid=\d+", "--pid=N"),
    (r"/sys/fs/cgroup/(memory/)?ROOM/memory\.\w+", "GROUP/FILE"),
    (r"group /sys/fs/cgroup/(memory/)?ROOM has too", "group GROUP has too"),
    (r"no such file is in .*$", "no such file is in PLACES"),
    (r"needs \d+ bytes to be", "needs N bytes to be"),
    (r"filter of \d+ instructions, and none of \d+", "filter of N instructions, and none of M"),
)


def normal(text: str, lab: Lab) -> str:
    """The text without what depends on the machine."""
    text = text.replace(" /usr/lib/", " /lib/")  # a link to it, and either may be searched first
    bin_directory, tools = lab.path.split(":")[:2]
    named = {lab.environment[name]: f"${name}" for name in ("IMAGE", "SIF", "DIRECTORY", "CHROOT")}
    named |= {lab.user.name: "USER", bin_directory: "BIN", tools: "TOOLS"}
    for value, name in named.items():
        text = text.replace(value, name)
    text = text.replace(f"({lab.user.uid})", "(UID)").replace(f" {lab.user.uid} ", " UID ")
    lines = text.splitlines()
    for number, line in enumerate(lines):
        for pattern, instead in VARIABLE:
            if not line.endswith(f"minictr explain {line[-6:]}"):
                line = re.sub(pattern, instead, line)
        lines[number] = line
    return "\n".join(lines) + "\n"


def mounts_by_mount() -> bool:
    """Whether mount(8) calls mount(2), by the release that it names."""
    said = subprocess.run(["mount", "--version"], capture_output=True, text=True).stdout
    found = re.search(r"util-linux (\d+)\.(\d+)", said)
    return bool(found) and (int(found[1]), int(found[2])) < (2, 39)


@pytest.mark.parametrize("code", SHOWN)
def test_the_report_of_a_cause_is_the_kept_one(lab: Lab, code: str) -> None:
    case = PREPARED[code]
    require(not case.impossible, code, case.impossible)
    told_otherwise = code in ("MC0331", "MC0333") and not shutil.which("sg")
    require(not told_otherwise, code, "shadow 4.20 has no sg, and says more")
    by_fsopen = code in ("MC0222", "MC0223") and not mounts_by_mount()
    require(not by_fsopen, code, "mount(8) of util-linux 2.39 and later calls fsopen(2) first")
    script = f"{case.prepare}\n{reproduction(code)[0]}"
    outcome = lab.run(script, case.by_root, MINICTR_DIAGNOSIS="text")
    first = re.search(r"^minictr: (error: |\S+ (was )?ended )", outcome.stderr, re.M)
    report = normal(outcome.stderr[first.start() if first else 0 :], lab)
    kept = KEPT / f"{code}.txt"
    if os.environ.get("GOLDEN") == "write":
        kept.write_text(report)
    assert report == kept.read_text()


def test_every_code_has_a_kept_report_and_none_is_left_over() -> None:
    assert {path.stem for path in KEPT.iterdir()} == set(all_causes())
