"""The values of a diagnosis: what a probe may conclude, and what all of them conclude together."""

from __future__ import annotations

from minictr.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from minictr.diagnosis.interview import Interview
    from minictr.runtime.launch import Failure


class Proof(Value):
    """A cause that facts of this machine prove.

    cause    the cause in this machine's own names: one sentence without a full stop
    seen     what was read, and where: one fact each
    fix_user, fix_administrator
             what each can do about it, "" for nothing. One remedy a line: a command that can be
             pasted, or a sentence, which ends with a full stop.
    """

    cause: str
    seen: tuple[str, ...]
    fix_user: str = ""
    fix_administrator: str = ""


class Excluded(Value):
    """A cause that a fact rules out; `how` states the fact."""

    how: str


class Unknown(Value):
    """A cause that stays open because something could not be looked at; `why` says what."""

    why: str


# What a probe answers. None: it is not about this call at all.
Verdict: TypeAlias = "Proof | Excluded | Unknown | None"
Probe: TypeAlias = "Callable[[Interview], Verdict]"


class Cause(Value):
    """An entry of the catalogue.

    code    "MC0203": stable, never used again for something else
    title   the cause as one sentence, in general
    stops   the verbs of the steps that it can stop; () for causes found before any step
    errnos  the only errnos with which it can stop them; () for any
    probe   looks for its proof; None where what refused an input has the proof already
    told    what `minictr explain` prints, indented as in the source
    standing  its proof needs no failing call: it can be named as what comes next
    """

    code: str
    title: str
    stops: tuple[str, ...]
    errnos: tuple[int, ...]
    probe: Probe | None
    told: str
    standing: bool = False

    @property
    def story(self) -> str:
        """What `minictr explain` prints."""
        import inspect  # 20 ms, which a report can do without

        return inspect.cleandoc(self.told)


class Diagnosis(Value):
    """What is known of one failure.

    happened        what the user asked for and did not get, in one line
    failure         the step that failed; None where an input was refused before any step
    code, title     of the cause; MC0000 without a proof
    proof           None for MC0000
    then            causes that stand in the way as well, (code, sentence) in the order to be met
    ruled_out       (code, title, how), in the catalogue's order
    still_open      (code, title, why) of those that could neither be proved nor ruled out
    could_not_look  what could not be read, and why
    kernel          (release, machine) as uname(2) gives them
    """

    happened: str
    failure: Failure | None
    code: str
    title: str
    proof: Proof | None
    then: tuple[tuple[str, str], ...] = ()
    ruled_out: tuple[tuple[str, str, str], ...] = ()
    still_open: tuple[tuple[str, str, str], ...] = ()
    could_not_look: tuple[str, ...] = ()
    kernel: tuple[str, str] = ("", "")
