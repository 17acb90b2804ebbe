"""The README's numbers are those of the kept results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).resolve().parents[2]
README = " ".join((PROJECT / "README.md").read_text().split())
# What the README calls a row of bench/results/launch.json.
ROWS = {
    "bwrap, the unpacked tree": "bwrap, the tree",
    "ch-run, the unpacked tree": "ch-run, the tree",
    "crun, a bundle of the unpacked tree, no filter": "crun, a bundle of the tree",
    "**minictr, SIF, one id**": "minictr, one id",
    "**minictr, SIF, with newuidmap and newgidmap**": "minictr, newuidmap",
    "ch-run, SquashFS": "ch-run, the SquashFS",
    "apptainer, SIF": "apptainer, the SIF",
}


def multiples(times: dict[str, list[float]]) -> dict[str, str]:
    """Each median as a multiple of the bare interpreter's."""
    bare = median(times["bare interpreter"])
    return {name: f"{median(each) / bare:.2f}" for name, each in times.items()}


def test_the_table_is_of_the_kept_run() -> None:
    kept = json.loads((PROJECT / "bench/results/launch.json").read_text())
    measured = multiples(kept["milliseconds"])
    for shown, name in ROWS.items():
        found = re.search(re.escape(f"| {shown} | ") + r"\**([\d.]+)\**\ \|", README)
        assert found, shown
        assert found[1] == measured[name], shown
    assert f"({kept['rounds']} interleaved rounds, " in README


def test_the_other_run_is_the_one_that_the_page_takes_apart() -> None:
    kept = json.loads((PROJECT / "bench/results/stages.json").read_text())
    single, both = (multiples(kept["whole"])[name] for name in list(ROWS.values())[3:5])
    assert f"of {kept['rounds']} rounds, has {single} and {both} for minictr." in README
