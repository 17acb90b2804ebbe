"""`minictr explain` prints stories, and lists them."""

from __future__ import annotations

import pytest

from minictr.cli.explain import find, main
from minictr.diagnosis.catalogue import all_causes
from minictr.refusal import Refusal


@pytest.mark.parametrize("code", ["MC0203", "mc0203", "0203"])
def test_a_code_may_be_written_in_three_ways(code: str) -> None:
    assert find(code).code == "MC0203"


def test_a_code_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refusal, match="no cause has the code MC9999"):
        find("MC9999")


def test_without_a_code_every_code_is_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([], {}) == 0
    listed = [line.split()[0] for line in capfd.readouterr().out.splitlines()]
    assert listed == sorted(all_causes())


def test_a_story_begins_with_code_and_title(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["MC0104"], {}) == 0
    assert capfd.readouterr().out.startswith("MC0104: the image is an empty file\n\n")
