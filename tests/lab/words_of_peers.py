"""Runs each fault with each launcher as it is, and prints what each of them said, as JSON.

words_of_peers.py MINICTR    as root, in the root that has the peers
"""

from __future__ import annotations

import json
import subprocess
import sys

from why_in_peers import BIND, FAULTS, IMAGE, MANY_IDS, PLAIN, PREPARE, PROC, Fault

PEERS = ("minictr", "apptainer", "podman", "bwrap", "ch-run", "unshare")


def line(fault: Fault, peer: str, minictr: str) -> str:
    """The command line with which a launcher meets the fault; "" where it does not."""
    lines = fault.lines or PLAIN
    if peer in lines:
        return lines[peer]
    program = lines["podman"].rpartition(" ")[2]
    if peer == "ch-run":
        unaffected = lines is PROC or lines is MANY_IDS  # it makes neither
        bind = "-b /nosuch/data:/tmp/x " if lines is BIND else ""
        return "" if unaffected else f"ch-run {bind}{IMAGE} -- {program}"
    options = "--id-map helpers " if lines is MANY_IDS else ""
    options += "-B /nosuch/data:/tmp/x " if lines is BIND else ""
    return f"{minictr} exec {options}{IMAGE} {program}"


def said(fault: Fault, command: str) -> dict[str, object]:
    """How the launcher ended, and what it wrote to standard error."""
    script = f"{PREPARE}{fault.setup}\nchown -R tester: {IMAGE}\nexport BECOME HOME_\n"
    script += (
        fault.around.replace("$*", command) if "$*" in fault.around else f"{fault.around} {command}"
    )
    try:
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "bash", "-c", script],
            stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
            timeout=60,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"status": -1, "said": "no end within a minute"}
    return {"status": done.returncode, "said": done.stderr}


def main(minictr: str) -> None:
    """Every fault with every launcher."""
    seen: dict[str, dict[str, object]] = {}
    for name, fault in FAULTS.items():
        if not fault.codes:
            continue
        lines = {peer: line(fault, peer, minictr) for peer in PEERS}
        seen[name] = {peer: said(fault, command) for peer, command in lines.items() if command}
        print(name, file=sys.stderr, flush=True)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
