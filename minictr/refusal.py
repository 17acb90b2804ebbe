"""Refusal: what we say of an input that we do not accept."""

from __future__ import annotations


class Refusal(Exception):
    """An input refused before anything was started.

    code   a catalogue code ("MC0112"), or "usage" for a command line that cannot be read
    cause  one sentence that states the fact, naming the thing
    proof  what was read and where: a byte range, a field, a path; one fact a line
    fix    an imperative sentence or a command that works; "" where there is none
    fix_administrator  the same for who administers the machine
    diagnosis  what an interview found, where the input met a call that was refused; else None
    place      the directory on whose file system a write was refused; "" for another refusal
    """

    diagnosis: object = None
    place: str = ""

    def __init__(
        self,
        code: str,
        cause: str,
        proof: str = "",
        fix: str = "",
        fix_administrator: str = "",
    ) -> None:
        super().__init__(cause)
        self.code = code
        self.cause = cause
        self.proof = proof
        self.fix = fix
        self.fix_administrator = fix_administrator
