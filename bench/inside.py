"""Times work in the container, apart from the launch: bash takes the time, before and after."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from first import offers
from launchers import (
    APPTAINER,
    BWRAP,
    CH_RUN,
    PATH,
    Program,
    instead,
    peer_commands,
    run,
    warm_up,
)
from stopwatch import Command

# tar leaves the contents unread when it writes to /dev/null itself, hence the pipe.
TASKS = {
    "import numpy": "python3 -c 'import numpy'",
    "find": "find / -xdev",
    "tar": "tar -C / -c usr | cat",
}
# How often a round has each: what takes 40 ms differs by 10 from one time to the next.
REPEATED = {"import numpy": 15, "find": 15, "tar": 3}
# The clock's microseconds go to standard error; standard output is /dev/null, opened outside: the
# tree itself has no devices.
SCRIPT = "begin=${{EPOCHREALTIME/./}}; {task}; end=${{EPOCHREALTIME/./}}; echo $((end-begin)) >&2"
OUTSIDE = "plain directory, chroot"
PEERS = (BWRAP, CH_RUN, APPTAINER)

Times = dict[str, dict[str, list[float]]]  # task -> place -> milliseconds


class Later(NamedTuple):
    """What later runs took."""

    times: Times
    commands: dict[str, Command]
    skipped: dict[str, str]
    roots: dict[str, str]  # the place -> what minictr's plan says of the root


def later_runs(
    program: Program, image: Path, rounds: int, scratch: Path, environ: dict[str, str]
) -> Later:
    """Each task in each place, in turn, a new container each time; the first round is not kept."""
    commands, skipped = places(program, image, scratch, environ)
    roots = {label: root(command) for label, command in commands.items() if label[:7] == "minictr"}
    times: Times = {task: {label: [] for label in commands} for task in TASKS}
    for task, line in TASKS.items():
        for number in range(rounds * REPEATED[task] + 1):
            for label, command in commands.items():
                taken = timed(instead(command, "bash", "-c", SCRIPT.format(task=line)))
                if number:
                    times[task][label].append(taken)
    for task, taken_by in times.items():
        print(task, {label: round(min(taken)) for label, taken in taken_by.items()}, flush=True)
    return Later(times, commands, skipped, roots)


def timed(command: Command) -> float:
    """The milliseconds that the script reports."""
    argv, environ = command
    done = subprocess.run(
        argv,
        check=True,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return int(done.stderr.split()[-1]) / 1000


def places(
    program: Program, image: Path, scratch: Path, environ: dict[str, str]
) -> tuple[dict[str, Command], dict[str, str]]:
    """The same tree outside and in each container; who cannot take part, and why."""
    # An image that lacks a mount point needs an overlay; without the caller's directories this
    # one lacks none, and its root is a bind.
    bare = ("exec", "--no-home", "--no-mount", "cwd,tmp")
    spare = ("--bind", f"{scratch}:/a-place-that-the-image-lacks")
    argvs = {
        "minictr, bind": (program.file, *bare, str(image), "true"),
        "minictr, overlay": (program.file, *bare, *spare, str(image), "true"),
    }
    offered = offers(program, "--unpack")
    run([program.file, "exec", *(("--unpack", "now") * offered), str(image), "true"], environ)
    # A cache of its own, in which there is no tree.
    served = {**environ, "MINICTR_CACHEDIR": str(scratch / "served")}
    fuse = (program.file, *bare, "--unpack", "never", str(image), "true")
    own: dict[str, Command] = {label: (argv, environ) for label, argv in argvs.items()}
    ours, without = warm_up(own | ({"minictr, FUSE": (fuse, served)} if offered else {}))
    peers = peer_commands(image, scratch, environ)
    tree = peers[BWRAP][0][peers[BWRAP][0].index("--ro-bind") + 1]
    unshare = shutil.which("unshare", path=PATH) or "unshare"
    outside = {OUTSIDE: ((unshare, "--map-root-user", "chroot", tree, "true"), environ)}
    usable, absent = warm_up(outside | {label: peers[label] for label in PEERS})
    return {**usable, **ours}, {**absent, **without}


def root(command: Command) -> str:
    """What `minictr plan` says of the container's root."""
    (file, _, *words), environ = command
    said = subprocess.check_output([file, "plan", *words], env=environ, text=True)
    return next((line.strip() for line in said.splitlines() if "root: " in line), "")
