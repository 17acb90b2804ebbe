"""The pages of the lab have every code, each with a fix that was seen to work and a near miss."""

from __future__ import annotations

import re
from pathlib import Path

from minictr.diagnosis.catalogue import all_causes

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROW = re.compile(r"^\| (MC\d{4})\b[^|]*\|(.*)\|$", re.M)


def rows(page: str) -> dict[str, list[str]]:
    """The other cells of each row, by code."""
    found = ROW.findall((DOCS / page).read_text())
    return {code: [cell.strip() for cell in cells.split("|")] for code, cells in found}


def test_every_code_is_on_one_of_the_pages() -> None:
    assert {*rows("lab.md"), *rows("lab-vm.md")} == set(all_causes())


def test_every_row_has_a_fix_and_a_near_miss() -> None:
    for code, (_, _, fixes, near, _) in rows("lab.md").items():
        assert int(fixes) > 0, code
        assert int(near) > 0, code
