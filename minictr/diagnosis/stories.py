"""Stories told in a table: for the causes that are proved where an input is read."""

from __future__ import annotations

import textwrap

from minictr.diagnosis.catalogue import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

# (title, story, reproduction, what the user does, what the administrator does, what it is not,
# sources); the reproduction is "" where a machine cannot be brought to it by commands.
Told: TypeAlias = "tuple[str, str, str, str, str, str, str]"

NOTHING = "none is needed."
_WIDTH = 96


def enter(stories: dict[str, Told]) -> None:
    """Enter each (code, story) into the catalogue."""
    for code, told in stories.items():
        refused(code, told[0], story(told))


def story(told: Told) -> str:
    """The sections, as the other causes have them in their docstrings."""
    _, text, reproduction, user, administrator, folklore, sources = told
    sections = [text, f"Fix, user: {user}", f"Fix, administrator: {administrator}"]
    sections += [f"Not the cause: {folklore}", f"Sources: {sources}"]
    filled = [textwrap.fill(section, _WIDTH) for section in sections]
    if reproduction:
        root = "runuser" in reproduction
        who = "root, in a private mount namespace" if root else "an ordinary user"
        filled.insert(1, f"Reproduction ({who}):\n\n{textwrap.indent(reproduction, '    ')}")
    return "\n\n".join(filled)
