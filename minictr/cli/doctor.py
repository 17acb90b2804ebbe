"""`minictr doctor [IMAGE]`: tries what launches need on this machine; what fails, and why."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import cast

from minictr.cli.actions import prepare, tree_of
from minictr.cli.messages import write
from minictr.diagnosis.needs import look_around, look_at
from minictr.diagnosis.scratch import scratch
from minictr.diagnosis.trials import (
    Finding,
    Ground,
    Trial,
    attempt,
    nothing_executed,
    try_all,
)
from minictr.host import read_host
from minictr.image.tree import Tree
from minictr.modules import cache_directory
from minictr.refusal import Refusal
from minictr.request import Request
from minictr.runtime.launch import Plan

USAGE = """\
Usage: minictr doctor [--json] [IMAGE]

  try what launches need on this machine: each kind of namespace, id maps, the root file system,
  the seccomp filter, the cache, the programs of the host; and IMAGE, up to its command
  --json   one JSON object; so does MINICTR_DIAGNOSIS=json
  Status 1 when something fails without which a launch without options fails, else 0.
"""
_MARKS = {"works": "ok", "fails": "FAILS", "not tried": "-", "unknown": "?", "known": ""}
_COLOURS = {"works": "green", "fails": "red", "not tried": "yellow", "unknown": "yellow"}


def main(arguments: list[str], environ: dict[str, str]) -> int:
    """Carry out `minictr doctor ARGUMENTS`; gives the exit status. Raises Refusal."""
    if {"-h", "--help"} & set(arguments):
        write(USAGE, 1)
        return 0
    flags = [word for word in arguments if word.startswith("-")]
    images = [word for word in arguments if not word.startswith("-")]
    if set(flags) - {"--json"} or images[1:]:
        wrong = next(iter([*(set(flags) - {"--json"}), *images[1:]]))
        raise Refusal("usage", f"unexpected argument: {wrong}", "", "minictr doctor --help")
    findings = examine(images[0] if images else "", environ)
    sound = all(finding.state == "works" for finding in findings if finding.needed)
    if flags or environ.get("MINICTR_DIAGNOSIS") == "json":
        write(as_json(findings, sound) + "\n", 1)
    elif os.isatty(1) and find_spec("rich"):
        print_table(findings)
    else:
        write("".join(f"{line}\n" for line in as_text(findings)), 1)
    return 0 if sound else 1


def examine(image: str, environ: dict[str, str]) -> list[Finding]:
    """All findings, in the order in which a launch meets them."""
    cache = cache_directory(environ)
    request = Request(
        "exec", image or "IMAGE", ("COMMAND",), "minictr", namespaces=("pid", "ipc", "uts"),
        host_environment=tuple(environ.items()),
    )  # fmt: skip
    with empty_directory() as empty:
        tree = Tree(empty, "directory", "", "", False, ())
        ground = Ground(read_host(), request, tree, cache)
        findings = [*try_all(ground), *look_around(cache, ground.host)]
        if image:
            findings.append(look_at(image))
            findings += [try_image(ground)] if findings[-1].state == "works" else []
    return findings


@contextlib.contextmanager
def empty_directory() -> Iterator[str]:
    """A new directory, gone afterwards. Raises Refusal."""
    with contextlib.ExitStack() as stack:
        try:
            path = stack.enter_context(scratch("minictr-doctor-"))
        except OSError as error:
            why = f"{os.path.dirname(str(error.filename))}: {error.strerror}"
            cause = "doctor needs an empty directory, and can make none"
            raise Refusal("request", cause, why) from None
        yield str(path)


def try_image(ground: Ground) -> Finding:
    """Launch the image that the request names, up to its command."""

    def plan(ground: Ground) -> Plan:
        tree = tree_of(ground.request, ground.cache, behind=False)
        made = prepare(ground.request, ground.host, tree, ground.cache)
        assert made  # only the action "test" can have nothing to do
        return nothing_executed(made)

    image = ground.request.image
    return attempt(Trial(f"launch of {image}", f"launches of {image}", True, (), plan), ground)


def as_json(findings: list[Finding], sound: bool) -> str:
    """{"sound": whether a launch works, "kernel": release, "findings": [...]} on one line."""
    listed = [
        {
            "name": finding.name,
            "state": finding.state,
            "needed": finding.needed,
            "breaks": finding.breaks,
            "detail": finding.detail,
            "report": finding.report or None,
        }
        for finding in findings
    ]
    return json.dumps({"sound": sound, "kernel": os.uname().release, "findings": listed})


def as_text(findings: Iterable[Finding]) -> Iterator[str]:
    """A line for each finding, and below one that fails what it breaks and what mends it."""
    for finding in findings:
        yield f"{_MARKS[finding.state]:7}{finding.name:22}{summary(finding)}".rstrip()
        if finding.state == "fails":
            yield from (f"{'':29}{line}" for line in remedies(finding))


def summary(finding: Finding) -> str:
    """The cause of what fails; else what is known."""
    if not finding.report:
        return finding.detail
    cause = finding.report["cause"] or finding.report["title"]
    return f"{cause} [{finding.report['code']}]"


def remedies(finding: Finding) -> Iterator[str]:
    """What does not work, and who can do what about it."""
    yield f"breaks: {finding.breaks}"
    fixes = cast("dict[str, list[str]]", finding.report["fix"])
    for who, lines in (("you", fixes["user"]), ("administrator", fixes["administrator"])):
        yield from (f"fix, {who}: {line}" for line in lines)
    yield f"more: {finding.report['explain']}"


def print_table(findings: list[Finding]) -> None:
    """The same as a table, for a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "what", "seen", box=None, pad_edge=False)
    for finding in findings:
        mark = Text(_MARKS[finding.state], style=_COLOURS.get(finding.state, ""))
        lines = [summary(finding), *(remedies(finding) if finding.state == "fails" else ())]
        table.add_row(mark, Text(finding.name), Text("\n".join(lines)))
    Console(file=sys.stdout).print(table)
