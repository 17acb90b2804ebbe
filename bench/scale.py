"""Weighs processes, with root's rights where root began the benchmark."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from launchers import Unusable

Scale = Callable[[Iterable[int]], int]  # pids -> KiB of PSS, all together


def beside_root(work: Callable[[Scale], int]) -> int:
    """Do the work; where we are root, in a child, for which we go on weighing as root."""
    if os.geteuid() != 0:
        return work(weigh)
    question, answer = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(question[0])
        os.close(answer[1])
        status = work(lambda pids: ask(question[1], answer[0], pids))
        os._exit(status)
    os.close(question[1])
    os.close(answer[0])
    serve(question[0], answer[1])
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def ask(question: int, answer: int, pids: Iterable[int]) -> int:
    """Have root weigh the processes."""
    os.write(question, f"{' '.join(map(str, pids))}\n".encode())
    return int(os.read(answer, 64))


def serve(question: int, answer: int) -> None:
    """Answer until nobody is left who asks."""
    with open(question, encoding="ascii") as lines:
        for line in lines:
            os.write(answer, str(weigh(map(int, line.split()))).encode())


def weigh(pids: Iterable[int]) -> int:
    """The proportional shares of memory of these processes."""
    return sum(pss(Path(f"/proc/{pid}/smaps_rollup")) for pid in pids)


def pss(file: Path) -> int:
    """One process's."""
    try:
        lines = file.read_text().splitlines()
    except PermissionError:
        raise Unusable(f"{file} is closed to us: root weighs it, with --user NAME") from None
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
