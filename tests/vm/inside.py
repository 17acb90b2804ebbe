#!/usr/bin/python3
"""Runs inside of the machine, as its root: makes each fault there and says how it ended.

    inside.py JOBS.json

Each job's scripts are run as the machine's user, or as root in a mount namespace of his own, as in
tests/lab. One JSON object a job goes to standard output: how each script ended, and what the
kernel's own tracing saw of the fault.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import oracle

USER, HOME = "tester", "/home/tester"
AREA = Path("/home/tester/lab")
CONTEXT = "user_u:user_r:user_t:s0"
ENFORCE = Path("/sys/fs/selinux/enforce")
VARIABLES = {
    "IMAGE": str(AREA / "image"),
    "SIF": str(AREA / "good.sif"),
    "DIRECTORY": str(AREA / "empty"),
    "CHROOT": str(AREA / "chroot"),
    "MINICTR_CACHEDIR": str(AREA / "cache"),
    "HOME": HOME,
    "USER": USER,
    "LOGNAME": USER,
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/mnt/lab/tools:/usr/bin:/bin:/usr/sbin:/sbin",
}
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
PATIENCE = 240  # seconds; an emulated machine is slow


def main() -> None:
    jobs = json.loads(Path(sys.argv[1]).read_text())
    warm_up()
    for job in jobs:
        try:
            print(json.dumps(outcome(job)), flush=True)
        except Exception:  # the others are worth hearing
            traceback.print_exc()


def warm_up() -> None:
    """The first launch compiles the seccomp filter."""
    reset()
    run({"prepare": "", "by_root": False, "enforcing": False}, 'minictr exec "$IMAGE" true')


def outcome(job: dict) -> dict:
    """How every script of the job ended."""
    ended = {"id": job["id"], "release": os.uname().release}
    began = time.time()
    subprocess.run(["sh", "-c", job["before"]], capture_output=True)
    fault = ended["fault"] = run(job, job["fault"])
    report = report_of(fault)
    if job["asked"] and not report.get("step"):
        ended["trace"] = {"why": "the launch is refused before its first step"}
    elif job["asked"]:
        if job["kept"]:
            ended["text"] = run(job, job["fault"], MINICTR_DIAGNOSIS="text")
        ended["trace"] = oracle.observe(report["step"], lambda: run(job, job["fault"], traced=True))
    fixes = {who.upper() + "_FIX": commands(report, who) for who in ("user", "administrator")}
    if job["near"]:  # of SELinux: the same with the policy not enforced
        ended["near"] = run({**job, "permissive": True}, job["near"])
    if job["repaired"]:
        if job["enforcing"]:
            subprocess.run(["sh", "-c", fixes["ADMINISTRATOR_FIX"]], cwd="/root")
        ended["repaired"] = run(job, job["repaired"], **fixes)
    subprocess.run(["sh", "-c", job["undo"]], capture_output=True)
    ended["seconds"] = round(time.time() - began, 1)
    return ended


def report_of(ended: dict) -> dict:
    lines = [line for line in ended["stderr"].splitlines() if line.startswith("{")]
    report = json.loads(lines[-1]) if lines else {}
    return report["diagnosis"] or {} if "verdict" in report else report  # of `minictr why`


def commands(report: dict, who: str) -> str:
    """The remedies that are commands: a sentence ends with a full stop."""
    lines = report.get("fix", {}).get(who, [])
    return "\n".join(line for line in lines if not line.endswith("."))


def run(job: dict, script: str, traced: bool = False, **more: str) -> dict:
    """One script with its preparation, in a fresh place."""
    reset()
    environment = {"MINICTR_DIAGNOSIS": "json", **VARIABLES, **more}
    whole = f"{job['prepare']}\n{script}"
    if job["enforcing"]:
        return enforcing(whole, environment, traced, "0" if job.get("permissive") else "1")
    if job["by_root"]:
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", whole]
    else:
        command = [*AS_USER, "sh", "-c", whole]
    only = ["sh", "-c", oracle.ONLY, "sh"] if traced else []
    return finished(subprocess.Popen([*only, *command], **started(environment)))


def started(environment: dict[str, str]) -> dict:
    return {
        "env": environment, "cwd": "/", "text": True, "start_new_session": True,
        "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
    }  # fmt: skip


def finished(process: subprocess.Popen) -> dict:
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        stderr += f"\nno end after {PATIENCE} s"
    return {"status": process.returncode, "stdout": stdout, "stderr": stderr}


def enforcing(script: str, environment: dict[str, str], traced: bool, enforce: str) -> dict:
    """The script as a user whom SELinux confines, with `enforce` from its start to its end.

    The policy takes inherited descriptors away where the domain changes, so that the script opens
    files of its own.
    """
    places = {name: Path(f"/tmp/{name}") for name in ("stdout", "stderr", "ready")}
    for path in places.values():
        path.unlink(missing_ok=True)
    wait = f'while read -r e </sys/fs/selinux/enforce; [ "$e" != {enforce} ]; do sleep 0.1; done'
    inner = f'exec >/tmp/stdout 2>/tmp/stderr; : >/tmp/ready; {wait}; exec sh -c "$SCRIPT"'
    only = ["sh", "-c", oracle.ONLY, "sh"] if traced else []
    command = [*only, *AS_USER, "runcon", CONTEXT, "sh", "-c", inner]
    none = subprocess.DEVNULL
    child = subprocess.Popen(
        command, env={**environment, "SCRIPT": script}, cwd=HOME,
        stdin=none, stdout=none, stderr=none, start_new_session=True,
    )  # fmt: skip
    while not places["ready"].exists() and child.poll() is None:
        time.sleep(0.1)
    ENFORCE.write_text(enforce)
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
    ENFORCE.write_text("0")
    said = {name: places[name] for name in ("stdout", "stderr")}
    return {"status": child.wait(), **{name: path.read_text() for name, path in said.items()}}


def reset() -> None:
    """Image and directories anew, the user's own; the cache is kept."""
    AREA.mkdir(exist_ok=True)
    for name in ("IMAGE", "DIRECTORY", "CHROOT"):
        shutil.rmtree(VARIABLES[name], ignore_errors=True)
    shutil.copytree("/mnt/lab/image", VARIABLES["IMAGE"], symlinks=True)
    shutil.copy("/mnt/lab/good.sif", VARIABLES["SIF"])
    for name in ("DIRECTORY", "CHROOT", "MINICTR_CACHEDIR"):
        Path(VARIABLES[name]).mkdir(exist_ok=True)
    subprocess.run(["chown", "-Rh", f"{USER}:{USER}", str(AREA)], check=True)
    if ENFORCE.exists():
        subprocess.run(["restorecon", "-R", HOME], check=True)
        subprocess.run(["chcon", "-R", "-u", "user_u", HOME], check=True)


if __name__ == "__main__":
    main()
