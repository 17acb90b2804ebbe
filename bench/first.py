"""Times first runs of an image: until the first byte that the container writes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from crowd import end_all
from launchers import PATH, Program, run
from stopwatch import Command

# What the first run does.
TASKS = {
    "echo": ("echo", "there"),
    "import numpy": ("python3", "-c", "import numpy; print(numpy.__version__)"),
}
UNPACK = ("now", "background", "never")
NOW = "minictr, --unpack now"
EVER = "minictr's first launch ever"  # which compiles its filter, and keeps its modules, as well
REPEATED = 7  # how often a round has each but NOW, which takes a hundred times as long

Times = dict[str, dict[str, list[float]]]  # task -> way -> milliseconds to the first byte


def ways(program: Program, environ: dict[str, str]) -> tuple[dict[str, Command], dict[str, str]]:
    """The command lines before the image, by label; who cannot take part, and why."""
    found: dict[str, Command] = {}
    skipped = {}
    for way in UNPACK:
        label = f"minictr, --unpack {way}"
        found[label] = ((program.file, "exec", "--unpack", way), environ)
        if not offers(program, "--unpack"):
            skipped[label] = "this minictr has no option --unpack"
            del found[label]
    if not found:
        found["minictr"] = ((program.file, "exec"), environ)
    found[EVER] = ((program.file, "exec"), environ)
    apptainer = shutil.which("apptainer", path=PATH)
    if apptainer:
        found["apptainer"] = ((apptainer, "exec"), environ)
    else:
        skipped["apptainer"] = "apptainer is not installed"
    return found, skipped


def offers(program: Program, option: str) -> bool:
    """Whether `minictr exec` has the option."""
    return option in subprocess.check_output([program.file, "exec", "--help"], text=True)


def first_runs(
    commands: Mapping[str, Command], image: Path, rounds: int, scratch: Path
) -> tuple[Times, dict[str, str]]:
    """The times of each way, in turn; who failed, and what it said."""
    image.read_bytes()  # into the page cache, for everybody
    other = scratch / "root"  # what program_under_test() looked at
    times: Times = {task: {label: [] for label in commands} for task in TASKS}
    failed: dict[str, str] = {}
    for number in range(rounds * REPEATED):
        for task, words in TASKS.items():
            for label, (argv, environ) in commands.items():
                if label == NOW and number % REPEATED:
                    continue
                cache = scratch / "first"
                fresh = {**environ, "MINICTR_CACHEDIR": str(cache)}
                if label.startswith("minictr,"):  # it has launched something before
                    for _ in range(2):
                        run([*argv[:2], str(other), "cat", "/dev/null"], fresh)
                taken, said = to_first_byte(((*argv, str(image), *words), fresh))
                empty(cache)
                if said:
                    failed[label] = said
                else:
                    times[task][label].append(taken)
                    print(f"{image.name}, {task}, {label}: {taken:.0f} ms", flush=True)
    return times, failed


def to_first_byte(command: Command) -> tuple[float, str]:
    """Milliseconds until a byte comes from the container; what was said where none came."""
    argv, environ = command
    begin = time.perf_counter()
    running = subprocess.Popen(
        argv, env=environ, bufsize=0, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdout
    byte = running.stdout.read(1)
    taken = time.perf_counter() - begin
    _, said = running.communicate()
    if byte and running.returncode == 0:
        return 1000 * taken, ""
    return 0.0, said.decode(errors="replace")[-500:] or f"status {running.returncode}"


def empty(cache: Path) -> None:
    """End what still unpacks in the background, and remove the cache."""
    end_all()
    for directory, _, _ in os.walk(cache):
        os.chmod(directory, 0o700)
    shutil.rmtree(cache, ignore_errors=True)  # it has the modules, where nothing was unpacked
