"""What a launch says of a tree that was taken away under it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from minictr.cli.lost import removed
from minictr.image.tree import Tree


def tree(directory: Path) -> Tree:
    """A tree in use, as a launch holds it."""
    (directory / "root").mkdir(parents=True)
    (directory / "lock").touch()
    lock = os.open(directory / "lock", os.O_RDONLY)
    return Tree(str(directory / "root"), "sif", "name", "", True, (), lock)


def test_a_tree_that_is_there_is_not_said_to_be_removed(tmp_path: Path) -> None:
    assert removed(tree(tmp_path / "tree"), "again") is None


def test_a_tree_that_was_removed_in_use_is_told_by_its_lock(tmp_path: Path) -> None:
    held = tree(tmp_path / "tree")
    shutil.rmtree(tmp_path / "tree")
    proof = removed(held, "again")
    assert proof is not None
    assert "holds: it has no name any more" in proof.seen[0]
    assert proof.fix_user == "again"
