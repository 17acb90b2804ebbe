"""Times whole processes, in turn."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping

Command = tuple[tuple[str, ...], Mapping[str, str]]  # argv with an absolute argv[0], environment

NULL = (
    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
    (os.POSIX_SPAWN_DUP2, 1, 2),
)


def measure(commands: Mapping[str, Command], rounds: int) -> dict[str, list[float]]:
    """Run every command once a round, in turn; gives each one's times in milliseconds.

    In turn, so that whatever else the machine does falls on all of them alike; and in another order
    in each round, for what has just run leaves its pages in the processor's caches.
    """
    times: dict[str, list[float]] = {label: [] for label in commands}
    order, dealer = list(commands), random.Random(rounds)  # the same orders in every run
    for _ in range(rounds):
        dealer.shuffle(order)
        for label in order:
            times[label].append(once(*commands[label]))
    return times


def once(argv: tuple[str, ...], environ: Mapping[str, str]) -> float:
    """Start a process and wait for its end; the time between in milliseconds."""
    begin = time.perf_counter_ns()
    pid = os.posix_spawn(argv[0], argv, environ, file_actions=NULL)
    _, status = os.waitpid(pid, 0)
    end = time.perf_counter_ns()
    if status:
        raise RuntimeError(f"wait status {status}: {' '.join(argv)}")
    return (end - begin) / 1e6
