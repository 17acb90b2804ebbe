"""Draws the results: what a plot shows as a value, and the value as an SVG file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

Results = Mapping[str, Any]


class Plot(NamedTuple):
    """A plot: bars for each label in groups, or a line for each label where x is a number."""

    name: str
    axis: str
    groups: tuple[str, ...]
    values: dict[str, tuple[float, ...]]  # label -> a value for each group
    lines: bool = False

    def digest(self) -> str:
        """What tells this plot from one of other results."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def plots(results: Mapping[str, Results]) -> Iterator[Plot]:
    """Every plot of the page."""
    for name, kept in results.items():
        if name in OF:  # the others are tables alone
            yield from OF[name](kept)


def medians(tasks: Mapping[str, Mapping[str, list[float]]]) -> dict[str, tuple[float, ...]]:
    """Label -> the median of each task; task -> label -> times is how they are kept."""
    labels = next(iter(tasks.values()))
    return {
        label: tuple(median(taken[label]) if taken[label] else 0.0 for taken in tasks.values())
        for label in labels
    }


def launch(kept: Results) -> Iterator[Plot]:
    """Multiples of the bare interpreter."""
    times = kept["milliseconds"]
    bare = median(times["bare interpreter"])
    values: dict[str, tuple[float, ...]] = {}
    for label, taken in times.items():
        values[label] = (median(taken) / bare,)
    yield Plot("launch", "times the bare interpreter", ("",), values)


def big(kept: Results) -> Iterator[Plot]:
    """First runs, and work inside as a multiple of what it takes outside."""
    for name, tasks in kept["first"].items():
        axis = "milliseconds to the first output"
        yield Plot(f"first-{name}", axis, tuple(tasks), medians(tasks))
    later = medians(kept["later"])
    outside = next(iter(later.values()))
    ratios = {
        label: tuple(one / other for one, other in zip(taken, outside, strict=True))
        for label, taken in later.items()
    }
    yield Plot("later", "times the plain directory", tuple(kept["later"]), ratios)


def parallel(kept: Results) -> Iterator[Plot]:
    """Time for each launch over the number at a time."""
    rows = kept["launches"]
    counts = sorted({row["at_once"] for row in rows})
    values: dict[str, tuple[float, ...]] = {}
    for row in rows:
        values[row["launcher"]] = (*values.get(row["launcher"], ()), row["milliseconds"])
    yield Plot("parallel", "milliseconds a launch", tuple(map(str, counts)), values, lines=True)


def memory(kept: Results) -> Iterator[Plot]:
    """MiB for each container."""
    weights = kept["containers"]
    counts = tuple(f"of {count}" for count in next(iter(weights.values())))
    values = {
        label: tuple(weight["kib"] / 1024 for weight in of.values())
        for label, of in weights.items()
    }
    yield Plot("memory", "MiB of PSS a container", counts, values)


def calls(kept: Results) -> Iterator[Plot]:
    """Nanoseconds for each call."""
    names = tuple(next(iter(kept["nanoseconds"].values())))
    values = {
        label: tuple(median(taken[name]) for name in names)
        for label, taken in kept["nanoseconds"].items()
    }
    yield Plot("calls", "nanoseconds a call", names, values)


OF = {"launch": launch, "big": big, "parallel": parallel, "memory": memory, "calls": calls}


def draw(plot: Plot, directory: Path) -> None:
    """Write NAME.svg."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "minictr"  # the same picture for the same results
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    bars = len(plot.values) * len(plot.groups)
    figure, axes = pyplot.subplots(figsize=(7.5, 4 if plot.lines else 0.9 + 0.24 * bars))
    (draw_lines if plot.lines else draw_bars)(plot, axes)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    metadata = {"Date": None, "Description": plot.digest()}
    figure.savefig(directory / f"{plot.name}.svg", metadata=metadata)
    pyplot.close(figure)


def draw_lines(plot: Plot, axes: Any) -> None:
    """A line for each label, both axes logarithmic."""
    for label, values in plot.values.items():
        bold = 2.5 if label.startswith("minictr") else 1.2
        axes.plot(
            [float(count) for count in plot.groups], values, "o-", label=label, linewidth=bold
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks([float(count) for count in plot.groups], plot.groups)
    axes.set_xlabel("at a time")
    axes.set_ylabel(plot.axis)
    axes.legend(frameon=False, bbox_to_anchor=(1, 1))


def brief(value: float) -> str:
    """Three digits of it, or all before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def draw_bars(plot: Plot, axes: Any) -> None:
    """Groups of bars from above, one for each label."""
    position, ticks = 0.0, []
    for number, group in enumerate(plot.groups):
        for label, values in plot.values.items():
            ours = label.startswith("minictr")
            axes.barh(position, values[number], color="#2b6cb0" if ours else "#a0aec0")
            axes.text(
                values[number], position, f" {brief(values[number])}", va="center", fontsize=8
            )
            ticks.append((position, f"{group}: {label}" if group else label))
            position -= 1
        position -= 0.6
    axes.set_yticks([place for place, _ in ticks], [label for _, label in ticks], fontsize=8)
    axes.set_xlabel(plot.axis)
    axes.margins(x=0.12)
