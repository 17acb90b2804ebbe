"""Scripts whose last command fails whatever came before, and those that only look so."""

from __future__ import annotations

import pytest

from minictr.diagnosis.watch.last_word import fails_at_its_end


@pytest.mark.parametrize(
    "script",
    ["x; false", "x\nexit 3\n", "x & false", "if x; then y; fi; false;", "x || y; exit 01"],
)
def test_a_last_command_that_always_fails_is_seen(script: str) -> None:
    assert fails_at_its_end(script)


@pytest.mark.parametrize(
    "script",
    ["false", "x && false", "x || false", "x; exit 0", "x; exit", "x; exit $?", "x; falsehood",
     "(x; false)", "x || exit 1; false", "set -e; x; false", "exec x; false", "x # ; false",
     "echo 'a; false'", "x <<E; false", "x || {\nexit 1; }", "x &&\nfalse", "x; ! false"],
)  # fmt: skip
def test_a_last_command_that_leaves_a_doubt_is_not(script: str) -> None:
    assert not fails_at_its_end(script)
