"""Judges what a machine saw of a fault, and makes the record of it."""

from __future__ import annotations

import re
from pathlib import Path

import records
from golden.test_reports import KEPT, normal
from lab.bench import Lab
from ordinary_user import User
from vm.fault import ASKED, Fault

from minictr.diagnosis.catalogue import all_causes

# As inside.py has them.
AREA = "/home/tester/lab"
LAB = Lab(
    User("tester", 1000, 1000, Path("/home/tester")),
    run_as_user=None,  # type: ignore[arg-type]  # nothing is run here
    environment={
        "IMAGE": f"{AREA}/image", "SIF": f"{AREA}/good.sif",
        "DIRECTORY": f"{AREA}/empty", "CHROOT": f"{AREA}/chroot",
    },
    path="/usr/local/bin:/mnt/lab/tools",
    reset=lambda: None,
)  # fmt: skip


def verdict(
    fault: Fault, kernel: str, ended: dict, golden: bool
) -> tuple[list[str], records.Record]:
    """(what is wrong, the record)."""
    wrong: list[str] = []
    seen = code_of(ended["fault"])
    expected = fault.code if kernel in fault.kernels else ""
    status = ended["fault"]["status"]
    if seen != expected or bool(status) != bool(expected):
        wrong.append(f"{seen or status} instead of {expected or 'success'}")
        wrong.append(ended["fault"]["stderr"][-1500:])
    if expected and seen == expected:
        wrong += lacking(fault, ended)
        wrong += kept(fault, kernel, ended, golden)
    chain, cited = traced(fault, ended)
    if cited is False:
        wrong.append(f"the story does not cite {' > '.join(chain)}")
    repaired, near = ended.get("repaired"), ended.get("near")
    if repaired and repaired["status"]:
        wrong.append(f"the fix does not work: {repaired['stderr'][-1500:]}")
    if near and (code_of(near) != fault.instead or bool(near["status"]) != bool(fault.instead)):
        wrong.append(f"the near miss gives {near['status']} {near['stderr'][-1000:]}")
    return wrong, {
        "code": fault.code, "name": fault.name, "kernel": kernel, "release": ended["release"],
        "machine": fault.machine, "mark": records.mark(fault), "seen": seen,
        "fixed": None if not repaired else not repaired["status"],
        "near": None if not near else True,
        "chain": chain, "why": ended.get("trace", {}).get("why", ""), "cited": cited, "date": "",
    }  # fmt: skip


def code_of(ended: dict) -> str:
    """The code of the report; "" where there is none."""
    answer = r'"verdict": .*"diagnosis": \{'  # of `minictr why`
    found = re.findall(rf'^\{{(?:{answer})?"code": "(MC\d{{4}})"', ended["stderr"], re.M)
    return found[-1] if found else ""


def lacking(fault: Fault, ended: dict) -> list[str]:
    """What proof and fix of the report do not say."""
    values = {"user": "tester", "uid": "1000", **{k.lower(): v for k, v in LAB.environment.items()}}
    text = ended["fault"]["stderr"].encode().decode("unicode_escape", "replace")
    wanted = fault.proof if fault.repaired else ()  # the lab's own are looked at by the lab
    shown = [one.format(**values) for one in wanted]
    return [f"the report lacks {one!r}" for one in (*shown, *fault.fix) if one not in text]


def kept(fault: Fault, kernel: str, ended: dict, golden: bool) -> list[str]:
    """Compare the report with the kept one; of codes that only the machines see."""
    if not is_kept(fault, kernel):
        return []
    text = ended["text"]["stderr"]
    first = re.search(r"^minictr: error: ", text, re.M)
    report = normal(text[first.start() if first else 0 :], LAB)
    place = KEPT / f"{fault.code}.txt"
    if golden:
        place.write_text(report)
    if not place.exists() or report != place.read_text():
        return [f"the report is not the kept one:\n{report}"]
    return []


def is_kept(fault: Fault, kernel: str) -> bool:
    """Whether the machine's report is the kept one: of what the lab makes, it keeps its own."""
    return kernel == ASKED and not (fault.name or fault.script or fault.of_the_lab)


def traced(fault: Fault, ended: dict) -> tuple[list[str], bool | None]:
    """(functions from the first that the story cites to the one that refused, whether it does)."""
    chain = ended.get("trace", {}).get("chain", [])
    if not chain:
        return [], None
    story = all_causes()[fault.code].story
    names = [bool(re.search(rf"\b{re.escape(plain(name))}\b", story)) for name in chain]
    if len(chain) == 1:  # in the system call's own function
        return chain, chain[0].removeprefix("__x64_sys_") in story
    first = names.index(True) if True in names else max(len(chain) - 3, 0)
    return chain[first:], names[-1]


def plain(name: str) -> str:
    """A function's name without what the compiler has made of it: .isra.0, .constprop.0."""
    return name.partition(".")[0]
