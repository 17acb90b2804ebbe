"""Begins every benchmark: its command line, its ordinary user, its directory, what it keeps."""

from __future__ import annotations

import argparse
import json
import os
import platform
import pwd
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from launchers import Unusable

Options = argparse.Namespace
# Looks at the options, works in the directory; gives the exit status.
Work = Callable[[Options, Path], int]


def command_line(text: str | None, rounds: int, short: int) -> argparse.ArgumentParser:
    """The options that every benchmark has; the number of rounds in the full and the short form."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, metavar="N", help=f"{rounds} if not given")
    parser.add_argument(
        "--short", action="store_true", help=f"to see that it works: {short} rounds"
    )
    parser.add_argument("--user", metavar="NAME", help="the ordinary user, where root starts this")
    parser.add_argument("--program", type=Path, metavar="FILE", help="the minictr to measure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results")
    parser.set_defaults(of=(rounds, short))
    return parser


def begin(parser: argparse.ArgumentParser, work: Work) -> int:
    """Do the work as an ordinary user, in a directory that is removed afterwards."""
    options = parser.parse_args()
    full, short = options.of
    options.rounds = (
        (short if options.short else full) if options.rounds is None else options.rounds
    )
    if options.rounds < 1:
        parser.error("--rounds takes a number from 1")
    if options.user:
        become(options.user)
    if os.geteuid() == 0:
        print(
            f"bench/{parser.prog}: root launches nothing here: --user NAME names an ordinary user"
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="minictr-bench-", dir="/tmp") as scratch:
        try:
            return work(options, Path(scratch))
        except Unusable as why:
            print(f"bench/{parser.prog}: {why}")
            return 2


def become(name: str) -> None:
    """Give up root for an ordinary user, with the environment of a login."""
    user = pwd.getpwnam(name)
    if os.geteuid() == 0:
        os.initgroups(name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    os.environ.update(HOME=user.pw_dir, USER=name, LOGNAME=name)
    os.environ["XDG_RUNTIME_DIR"] = f"/run/user/{user.pw_uid}"
    os.chdir("/tmp")


def keep(options: Options, versions: Mapping[str, str], results: Mapping[str, object]) -> None:
    """Write the results for a program, beside the machine, the versions and the command."""
    if not options.json:
        return
    about = {
        "command": shlex.join(words()),
        "machine": machine(),
        "kernel": os.uname().release,
        "versions": versions,
        "rounds": options.rounds,
    }
    options.json.write_text(json.dumps({**about, **results}, indent=1) + "\n")


def words() -> list[str]:
    """Our own command line, without what says where this machine has the files."""
    name = Path(sys.argv[0]).name
    through = os.environ.get("BENCH_THROUGH")  # bench/in-peers says so
    kept = [through, name] if through else [f"bench/{name}"]
    arguments = iter(sys.argv[1:])
    for word in arguments:
        if word in ("--json", "--program", "--user"):
            next(arguments)
        elif not word.startswith(("--json=", "--program=", "--user=")):
            kept.append(word)
    return kept


def machine() -> dict[str, object]:
    """The hardware, as far as the kernel tells it, and how busy it is."""
    cpu = Path("/proc/cpuinfo").read_text().split("\n")
    models = [line.partition(": ")[2] for line in cpu if line.startswith("model name")]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processors": os.cpu_count(),
        "model": models[0] if models else platform.machine(),
        "memory": round(pages / 2**30),
        "type": platform.machine(),
        "load": round(os.getloadavg()[0], 2),
    }
