"""Turns a diagnosis into the text of a report, or into one JSON object."""

from __future__ import annotations

import json

from minictr.diagnosis.values import Diagnosis, Proof
from minictr.diagnosis.words import argument_words, errno_name, step_words
from minictr.runtime.launch import Failure

_WIDTH = 10  # of the labels


def as_text(diagnosis: Diagnosis) -> str:
    """The report below its first line: labelled lines, each ending in a newline."""
    proof = diagnosis.proof
    cause = proof.cause if proof else diagnosis.title
    lines = _labelled("cause", [f"{cause} [{diagnosis.code}]"])
    if proof:
        lines += _labelled("proof", proof.seen)
        lines += _labelled("and then", [f"{cause} [{code}]" for code, cause in diagnosis.then])
    if diagnosis.failure:
        lines += _labelled("step", [step_words(diagnosis.failure)])
        lines += _labelled("kernel", [" ".join(diagnosis.kernel)])
    if not proof and not diagnosis.ruled_out and diagnosis.failure:
        verb = diagnosis.failure.step.verb()
        lines += _labelled("ruled out", [f"nothing: the catalogue has no cause that stops {verb}"])
    lines += _labelled("ruled out", _grouped(diagnosis.ruled_out))
    lines += _labelled("open", _grouped(diagnosis.still_open))
    lines += _labelled("not seen", diagnosis.could_not_look)
    if proof:
        lines += _labelled("fix", _fixes(proof, bool(diagnosis.failure)))
    lines += _labelled("more", [f"minictr explain {diagnosis.code}"])
    return "".join(line + "\n" for line in lines)


def as_json(diagnosis: Diagnosis, status: int) -> str:
    """The report as one JSON object on one line; `status` is the launcher's exit status."""
    proof = diagnosis.proof
    record: dict[str, object] = {
        "code": diagnosis.code,
        "title": diagnosis.title,
        "happened": diagnosis.happened,
        "status": status,
        "cause": proof.cause if proof else None,
        "proof": [fact for fact in proof.seen if fact] if proof else [],
        "fix": {
            "user": _remedies(proof.fix_user) if proof else [],
            "administrator": _remedies(proof.fix_administrator) if proof else [],
        },
        "then": [{"code": code, "cause": cause} for code, cause in diagnosis.then],
        "ruled_out": [
            {"code": code, "title": title, "how": how} for code, title, how in diagnosis.ruled_out
        ],
        "still_open": [
            {"code": code, "title": title, "why": why} for code, title, why in diagnosis.still_open
        ],
        "could_not_look": list(diagnosis.could_not_look),
        "step": _step(diagnosis.failure) if diagnosis.failure else None,
        "kernel": {"release": diagnosis.kernel[0], "machine": diagnosis.kernel[1]},
        "explain": f"minictr explain {diagnosis.code}",
    }
    return json.dumps(record) + "\n"


def _step(failure: Failure) -> dict[str, object]:
    return {
        "phase": failure.phase,
        "index": failure.index,
        "verb": failure.step.verb(),
        "call": failure.call,
        "arguments": [argument_words(argument) for argument in failure.arguments],
        "errno": failure.errno,
        "errno_name": errno_name(failure.errno) if failure.errno else "",
        "said": failure.said,
        "wait_status": failure.status,
    }


def _fixes(proof: Proof, of_a_step: bool) -> list[str]:
    """One remedy a line, with who can carry it out; an input that was refused is the user's."""
    you = "you: " if of_a_step else ""
    return [
        f"{who}{line}"
        for who, text in ((you, proof.fix_user), ("administrator: ", proof.fix_administrator))
        for line in _remedies(text)
    ]


def _remedies(text: str) -> list[str]:
    """Nothing but a newline parts them: a name may have other characters that break lines."""
    return [line for line in text.split("\n") if line]


def _grouped(causes: tuple[tuple[str, str, str], ...]) -> list[str]:
    """A line for each (code, title, reason); one for all that have the same reason."""
    lines = []
    for reason in dict.fromkeys(reason for _, _, reason in causes):
        same = [(code, title) for code, title, other in causes if other == reason]
        names = ", ".join(code for code, _ in same) if same[1:] else " ".join(same[0])
        lines.append(f"{names}: {reason}")
    return lines


def _labelled(label: str, lines: list[str] | tuple[str, ...]) -> list[str]:
    """The lines with the label before the first one and blanks before the others.

    Names in them are those that an image gave its files: no terminal is to obey them.
    """
    shown = ["".join(map(_visible, line)) for line in lines if line]
    return [
        f"  {label if first else '':{_WIDTH}}{line}"
        for first, line in zip([True] + [False] * len(shown), shown, strict=False)
    ]


def _visible(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
