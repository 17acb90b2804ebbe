"""Says of another program what the causes say of minictr, and leaves out what only minictr has."""

from __future__ import annotations

import re

from minictr.diagnosis.again import NOT_OURS
from minictr.diagnosis.values import Diagnosis, Proof

_NAME = re.compile(r"\bminictr\b(?! (?:explain|doctor|exec|run)\b)")
# "Correct the path: `COMMAND` lists what is there." keeps its first half.
_COMMAND = re.compile(rf":? `?[^`]*{NOT_OURS}[^`]*`?[^.]*\.?$")
_OPTIONS = re.compile(
    r"--(?:bind|net|network|id-map|no-pid|ipc|uts|seccomp|security|no-mount|workdir|fakeroot|"
    r"writable-tmpfs|overlay|hostname|userns)\b"
)
_CONTAINER = ((" in the container", ""), ("in the container ", ""), ("the container's ", "its "),
              ("the container has", "there is"), ("the container", "this system"))  # fmt: skip
# What only a launch of ours has, wherever the program failed.
_OURS = (("the container's PATH", "its PATH"), ("the flags of this launch", "its flags"))
_IMAGE = re.compile(r"Use an image that has (.+), or install it where the image is built\.")
_INSTALL = r"Install \1 in the root directory that minictr has made."


def retold(diagnosis: Diagnosis, program: str, in_place: bool) -> Diagnosis:
    """The diagnosis in words about `program`.

    in_place   the program failed at our own root directory, where there is no container
    """

    def told(text: str) -> str:
        text = _NAME.sub(program, text)
        for own, plain in _OURS:
            text = text.replace(own, plain)
        if in_place:
            for own, plain in _CONTAINER:
                text = text.replace(own, plain)
        return text.strip()

    proof = diagnosis.proof
    if proof:
        proof = Proof(
            told(proof.cause),
            tuple(told(fact) for fact in proof.seen),
            "\n".join(_fixes(proof.fix_user, told, in_place)),
            "\n".join(_fixes(proof.fix_administrator, told, in_place)),
        )
    return diagnosis.replace(
        proof=proof,
        ruled_out=_retold(diagnosis.ruled_out, told),
        still_open=_retold(diagnosis.still_open, told),
        could_not_look=tuple(told(fact) for fact in diagnosis.could_not_look),
    )


def _fixes(text: str, told: object, in_place: bool) -> list[str]:
    """The remedies that are no options of ours; none about images where there is no image."""
    assert callable(told)
    kept = []
    for line in text.splitlines():
        if NOT_OURS in line:
            rest = _COMMAND.sub("", line)
            line = f"{rest}." if rest and NOT_OURS not in rest and rest != line else ""
        # Behind these comes the command, with options of its own.
        given = line.startswith(("unshare ", "nsenter "))
        if not line or (_OPTIONS.search(line) and not given) or (in_place and "image" in line):
            continue
        kept.append(
            told(_IMAGE.sub(r"Install \1 in the root directory that minictr has made.", line))
        )
    return kept


def _retold(
    causes: tuple[tuple[str, str, str], ...], told: object
) -> tuple[tuple[str, str, str], ...]:
    assert callable(told)
    return tuple((code, told(title), told(why)) for code, title, why in causes)
