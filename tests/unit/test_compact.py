"""What is kept of a module for launches does what the module does."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import CodeType

import pytest

from minictr.compact import MODULES, compact

PACKAGE = Path(__file__).resolve().parents[2] / "minictr"
SOURCES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))

# What compiles, or is loaded before there is anything kept.
UNKEPT = ("start.py", "modules.py", "keep.py", "compact.py")

TEXT = b'''"""A module."""
from __future__ import annotations
from minictr.value import Value as Record
TYPE_CHECKING = False
if TYPE_CHECKING:
    from nowhere import Nothing
else:
    Nothing = "something"
class Point(Record):
    """A point."""
    across: int
    up: int = 2
def up(point: Point, *more: Nothing, by: int = 1, **rest: Nothing) -> Point:
    """Go up."""
    changed: Point = point.replace(up=point.up + by)
    assert by
    return changed
'''


def run(code: CodeType, **names: object) -> dict[str, object]:
    found: dict[str, object] = {"__name__": "module", **names}
    exec(code, found)
    return found


@pytest.mark.parametrize("resolved", [False, True])
def test_it_runs_as_the_whole_does_without_what_is_only_read(resolved: bool) -> None:
    import minictr.value  # noqa: F401  what is resolved has been imported

    found = run(compact(TEXT, "module.py", resolved), **{MODULES: sys.modules})
    point, up = found["Point"], found["up"]
    assert up(point(1), by=3) == point(1, 5)  # type: ignore[operator]
    assert found["Nothing"] == "something"
    assert point.__doc__ is up.__doc__ is found.get("__doc__") is None  # type: ignore[attr-defined]
    assert up.__annotations__ == {}  # type: ignore[attr-defined]


def test_lines_keep_their_numbers() -> None:
    found = run(compact(TEXT, "module.py"))
    line = next(n for n, text in enumerate(TEXT.splitlines(), 1) if text.startswith(b"def up"))
    assert found["up"].__code__.co_firstlineno == line  # type: ignore[attr-defined]


def test_what_is_resolved_imports_nothing_of_the_package() -> None:
    assert "IMPORT_FROM" in operations(compact(TEXT, "module.py"))
    assert "IMPORT_FROM" not in operations(compact(TEXT, "module.py", resolved=True))


def operations(code: CodeType) -> set[str]:
    import dis

    return {instruction.opname for instruction in dis.get_instructions(code)}


@pytest.mark.parametrize("source", SOURCES)
def test_every_module_may_lose_its_annotations(source: str) -> None:
    """compile() is told to keep those of classes as text: that has to be what the module says."""
    tree = ast.parse((PACKAGE / source).read_text())
    imported = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    noted = any(isinstance(node, ast.AnnAssign) for node in ast.walk(tree))
    assert "__future__" in imported or not noted or source in UNKEPT
