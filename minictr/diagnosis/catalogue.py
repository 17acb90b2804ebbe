"""The catalogue of causes: every code, with its title, its probe and its story."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from minictr.diagnosis import not_shown
from minictr.diagnosis.causes import MODULES, STOPPING
from minictr.diagnosis.values import Cause, Probe

UNKNOWN = "MC0000"

# What the modules that were loaded have entered. Of the causes that can stop the same step, the one
# that the kernel meets first comes first; a specific one comes before a general one.
_CAUSES: dict[str, Cause] = {}

HEAD = """# What can stop a launch

*Generated from the catalogue by `docs/generate.py`; `minictr explain CODE` prints one entry. The
tests of tests/lab run the reproductions, in which IMAGE is any image and DIRECTORY an empty one.*

"""
TAIL = """What could not be made for real is not diagnosed. It ends as MC0000, which gives the step,
the call and the errno.
"""


def cause(
    code: str,
    title: str,
    stops: tuple[str, ...],
    errnos: tuple[int, ...] = (),
    standing: bool = False,
) -> Callable[[Probe], Probe]:
    """Enter a probe into the catalogue; its docstring is the story."""

    def enter(probe: Probe) -> Probe:
        _enter(Cause(code, title, stops, errnos, probe, probe.__doc__ or "", standing))
        return probe

    return enter


def refused(code: str, title: str, story: str) -> None:
    """Enter a cause that is proved where an input is read, by what raises the Refusal."""
    _enter(Cause(code, title, (), (), None, story))


def all_causes() -> dict[str, Cause]:
    """Every cause by its code."""
    for name in MODULES:
        _load(name)
    return _CAUSES


def entry_of(code: str) -> Cause | None:
    """The cause with this code; None for none. To load them all takes 40 ms."""
    for name in MODULES:
        if code in _CAUSES:
            break
        _load(name)
    return _CAUSES.get(code)


def stopping(verb: str) -> list[Cause]:
    """The causes that can stop a step, in the order in which they are asked for."""
    names = [name for name in MODULES if name in STOPPING.get(verb, "").split()]
    for name in names:
        _load(name)
    found = [entry for entry in _CAUSES.values() if verb in entry.stops]
    return sorted(found, key=lambda entry: MODULES.index(module_of(entry)))


def module_of(entry: Cause) -> str:
    """The name of the module that has the probe of a cause; "" for one without a probe."""
    return entry.probe.__module__.rpartition(".")[2] if entry.probe else ""


def page() -> str:
    """docs/causes.md."""
    entries = "\n".join(_section(entry) for _, entry in sorted(all_causes().items()))
    return f"{HEAD}{entries}\n## Not in the catalogue\n\n{TAIL}\n{not_shown.text()}"


def _section(entry: Cause) -> str:
    stops = ", ".join(f"`{verb}`" for verb in entry.stops)
    where = f"Stops: {stops}.\n\n" if stops else ""
    return f"## {entry.code}: {entry.title}\n\n{where}{entry.story}\n"


def _load(name: str) -> None:
    import_module(f"minictr.diagnosis.causes.{name}")  # it enters what it holds


def _enter(entry: Cause) -> None:
    if entry.code in _CAUSES:
        raise ValueError(f"{entry.code} is entered twice")
    _CAUSES[entry.code] = entry
