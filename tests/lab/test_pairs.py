"""Two faults at once, drawn at random: the one that a launch meets first is named, and no other."""

from __future__ import annotations

import os
import random

import pytest
from lab.bench import Lab
from lab.pairs import FAULTS, Pair, drawn, pairs

AS_ROOT = os.geteuid() == 0
FEW, MANY = 10, 100
FIXED = 3
# The seed of the long form; it is part of each test's name.
SEED = int(os.environ.get("MINICTR_LAB_SEED") or random.randrange(10**6))


def check(lab: Lab, pair: Pair) -> None:
    outcome = lab.run(pair.script(), pair.by_root)
    then = outcome.report.get("then", [])
    assert isinstance(then, list)
    assert outcome.code == pair.first.code, f"{pair.script()}\n{outcome.stderr}"
    assert {entry["code"] for entry in then} <= {pair.second.code}, outcome.stderr


@pytest.mark.parametrize("pair", drawn(FIXED, FEW, AS_ROOT), ids=str)
def test_of_two_faults_the_first_is_named(lab: Lab, pair: Pair) -> None:
    check(lab, pair)


@pytest.mark.long
@pytest.mark.parametrize("pair", drawn(SEED, MANY, AS_ROOT), ids=lambda pair: f"seed-{SEED}-{pair}")
def test_of_two_faults_drawn_at_random_the_first_is_named(lab: Lab, pair: Pair) -> None:
    check(lab, pair)


def test_a_seed_draws_the_same_pairs_again() -> None:
    assert drawn(SEED, FEW, AS_ROOT) == drawn(SEED, FEW, AS_ROOT)
    assert len(pairs(as_root=True)) > MANY
    assert len({fault.code for fault in FAULTS}) == len(FAULTS)
