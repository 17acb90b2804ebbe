"""Makes the page of the results: a section with tables for each benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

Results = Mapping[str, Any]  # what a benchmark kept, from its JSON file

HEAD = """# What a launch costs

*Generated from the files in bench/results by `bench/report`; `just bench` measures anew, and
`bench/in-peers` beside the other launchers.*

Absolute times are those of one machine; compare within a table alone. What a table shows was
measured in turn, and is the median unless it says otherwise;
[bench/README.md](../bench/README.md) says how each of these is done.
"""


def page(results: Mapping[str, Results]) -> str:
    """The whole page."""
    sections = [SECTIONS[name](kept) for name, kept in results.items()]
    return "\n".join([HEAD, *sections])


def section(title: str, kept: Results, *parts: str) -> str:
    """A heading, what was measured where and by what, and the tables."""
    machine, versions = kept["machine"], kept["versions"]
    where = f"{machine['processors']} processors ({machine['model']}), {machine['memory']} GiB"
    said = "; ".join(f"{name}: {text}" for name, text in versions.items() if text)
    skipped = [f"- {label}: skipped: {why}" for label, why in kept["skipped"].items()]
    about = [
        f"`{kept['command']}`: {kept['rounds']} rounds, {where}, Linux {kept['kernel']},",
        f"load average {machine['load']} at the end. {said}.",
    ]
    return "\n".join([f"## {title}", "", *parts, *about, "", *skipped, *([""] if skipped else [])])


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def picture(name: str, words: str) -> str:
    """A plot, and what it shows."""
    return f"![{words}](performance/{name}.svg)\n"


def number(value: float) -> str:
    """Three digits of it."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def launch(kept: Results) -> str:
    """One launch of `true`."""
    times = kept["milliseconds"]
    bare = median(times["bare interpreter"])
    rows = (
        (label, number(median(taken)), number(min(taken)), number(median(taken) / bare))
        for label, taken in times.items()
    )
    head = ("", "ms", "least", "times the bare interpreter")
    words = f"`true` in a container, beside `{kept['interpreter']}` that does nothing.\n"
    shown = picture("launch", "A launch as a multiple of the bare interpreter")
    return section("One launch", kept, words, shown, table(head, rows))


def stages(kept: Results) -> str:
    """Where the time of a launch goes."""
    whole = {label: median(taken) for label, taken in kept["whole"].items()}
    bare = whole.pop("bare interpreter")
    each = {
        label: {stage: median(taken) for stage, taken in found.items()}
        for label, found in kept["milliseconds"].items()
    }
    rows = [
        (stage, *(f"{found[stage]:.2f}" for found in each.values()))
        for stage in next(iter(each.values()))
    ]
    script = (f"{whole[label] - sum(found.values()):.2f}" for label, found in each.items())
    total = (f"{taken:.2f} ({taken / bare:.2f} times)" for taken in whole.values())
    rows += [(REST, *script), ("**the whole launch**", *total)]
    words = STAGES.format(bare)
    return section("Where a launch's time goes", kept, words, table(("until", *each), rows))


REST = "*the start script's own lines; what noting the moments adds is taken off*"
STAGES = """Milliseconds from the stage before. The bare interpreter takes {:.2f} ms in this run;
much of that is tidying up at its end, which a launch leaves out.
"""


def parallel(kept: Results) -> str:
    """Many launches at once, and containers that stay."""
    rows = kept["launches"]
    columns = sorted({row["at_once"] for row in rows})
    labels = list(dict.fromkeys(row["launcher"] for row in rows))
    lines = []
    for label in labels:
        own = {row["at_once"]: row for row in rows if row["launcher"] == label}
        sums = [sum(row[what] for row in own.values()) for what in ("launches", "failures")]
        left = [sum(row[what] for row in own.values()) for what in ("processes", "mounts", "files")]
        cells = [number(own[count]["milliseconds"]) for count in columns]
        lines.append([label, *cells, *map(str, sums), " / ".join(map(str, left))])
    head = ["", *(f"{count} at a time" for count in columns), "launches", "failures", "left behind"]
    words = (
        "Milliseconds of wall time for each launch, so many at a time, the median of the turns in\n"
        "which the launchers were measured one after the other; what is left behind are\n"
        "processes / mounts / temporary files.\n"
    )
    shown = picture("parallel", "Time for each launch by the number of launches at a time")
    return section(
        "Many launches", kept, words, shown, table(head, lines), SLEEPERS, sleepers(kept)
    )


SLEEPERS = """Containers that sleep, started one after the other until one fails. At the end the
launchers alone are killed (SIGKILL); what outlives them is counted. bwrap was not given
`--die-with-parent`.
"""


def sleepers(kept: Results) -> str:
    """How many run at once."""
    rows = []
    for row in kept["sleeping"]:
        stopped = row["code"] or ("nothing" if not row["said"] else first_words(row["said"]))
        cells = [row["limit"], row["asked"], row["reached"], stopped]
        cells += [row["outlived"], row["mounts"], number(row["milliseconds"])]
        rows.append((row["launcher"], *map(str, cells)))
    head = ("", "limit", "asked for", "at once", "stopped by", "processes that outlive")
    return table((*head, "mounts left", "ms each"), rows)


def first_words(said: str) -> str:
    """A line of a message, for a table."""
    return said.strip().splitlines()[-1].replace("|", "/")[:80]


def memory(kept: Results) -> str:
    """What a running container weighs."""
    rows = []
    for label, weights in kept["containers"].items():
        cells = [number(weight["kib"] / 1024) for weight in weights.values()]
        processes = list(weights.values())[-1]["processes"]
        rows.append((label, *cells, number(processes)))
    counts = list(next(iter(kept["containers"].values())))
    head = ("", *(f"of {count}" for count in counts), "processes")
    words = (
        "MiB of PSS for each running container, its payload `sleep` and its launcher included.\n"
    )
    shown = picture("memory", "Memory of a running container")
    return section("Memory", kept, words, shown, table(head, rows))


def calls(kept: Results) -> str:
    """What a filter costs."""
    names = list(next(iter(kept["nanoseconds"].values())))
    rows = (
        (label, *(number(median(taken[name])) for name in names))
        for label, taken in kept["nanoseconds"].items()
    )
    words = FILTERS.format(kept["calls"])
    shown = picture("calls", "Nanoseconds a system call under each filter")
    return section("System calls under a filter", kept, words, shown, table(("", *names), rows))


FILTERS = """Nanoseconds a call, {:,} of each in every round. A call that a filter allows whatever
its arguments are costs the same under any filter: the kernel keeps such answers in a bitmap
(kernel/seccomp.c, seccomp_cache_check_allow, Linux 5.11).
"""


def big(kept: Results) -> str:
    """First and later runs of the big image."""
    parts = []
    for name, tasks in kept["first"].items():
        image = kept["images"][name]
        parts.append(
            f"Milliseconds of a first run, to its first output, {name}: "
            f"{image['bytes'] / 1e6:.0f} MB, {image['files']} files.\n"
        )
        labels = list(next(iter(tasks.values())))
        rows = ((label, *(cell(tasks[task][label]) for task in tasks)) for label in labels)
        parts += [table(("", *tasks), rows), picture(f"first-{name}", f"First runs, {name}")]
    later = kept["later"]
    labels = list(next(iter(later.values())))
    rows = ((label, *(cell(later[task][label]) for task in later)) for label in labels)
    parts += [LATER, picture("later", "Work inside on later runs"), table(("", *later), rows)]
    return section("A big image", kept, *parts)


LATER = """Milliseconds of the work alone, each in a new container, the tree and the image in the
page cache: `python3 -c 'import numpy'`, `find / -xdev`, and `tar` of /usr through a pipe. The plain
directory is the tree that minictr unpacked, entered with chroot: the same files, neither mounts
nor a filter.
"""


def cell(taken: list[float]) -> str:
    """The median, where there is one."""
    return number(median(taken)) if taken else ""


SECTIONS = {
    "launch": launch,
    "stages": stages,
    "big": big,
    "parallel": parallel,
    "memory": memory,
    "calls": calls,
}
