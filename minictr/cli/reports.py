"""Writes the report of a launch that failed, and gives the exit status that says so."""

from __future__ import annotations

import errno

from minictr.cli import messages
from minictr.cli.names import named
from minictr.diagnosis import diagnose_refusal
from minictr.diagnosis.report import as_json, as_text
from minictr.diagnosis.shortage import limit_behind
from minictr.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.cli.names import Name
    from minictr.diagnosis.values import Diagnosis
    from minictr.request import Request
    from minictr.runtime.launch import Failure


def failure(request: Request, failed: Failure, diagnosis: Diagnosis) -> int:
    """Report a step that failed."""
    name = named(request.program)
    status = status_of(name, failed)
    if name.drop_in and request.diagnosis == "text" and diagnosis.code == "MC0401":
        source = failed.step.__dict__["source"]
        text = f"skipping mount of {source}: stat {source}: no such file or directory"
        messages.warn(request, text)  # apptainer's line, which comes before its FATAL one
    return write(name, request.diagnosis, diagnosis, status)


def refusal(request: Request, refused: Refusal) -> int:
    """Report an input of a launch that was refused."""
    name = named(request.program)
    return messages.refuse(name, refused, "", request.diagnosis)


def refusal_at_start(called_as: str, as_object: bool, refused: Refusal) -> int:
    """Report what was refused before the command line was read."""
    name, form = named(called_as), "json" if as_object else "text"
    return write(name, form, diagnose_refusal(refused), name.failure_status)


def stopped_at_start(called_as: str, as_object: bool, error: BaseException) -> int:
    """Report a call that was refused where nobody expected it, or the limit that it came from.

    0 for another error: a mistake of our own, which a traceback tells best.
    """
    number = getattr(error, "errno", None)
    if number is None and not limit_behind(error):
        return 0
    proof = f"{type(error).__name__}: {error}"
    if number is not None:
        name = errno.errorcode.get(number, f"errno {number}")
        proof = f"{name}: {_place(error)}\n{proof}"
    wrapped = Refusal("MC0000", "minictr cannot go on", proof)
    wrapped.__cause__ = error
    return refusal_at_start(called_as, as_object, wrapped)


def _place(error: BaseException) -> str:
    """The line of minictr that made the call."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    if not frame:
        return "minictr"
    code = frame.tb_frame.f_code
    return f"{code.co_name} in {code.co_filename.rpartition('/minictr/')[2]}:{frame.tb_lineno}"


def refusal_of_a_command(name: Name, refused: Refusal, form: str) -> int:
    """Report a refused input. What text says in one line is an entry of the catalogue as JSON."""
    status = name.usage_status if refused.code == "usage" else name.failure_status
    if refused.code in ("request", "usage"):
        refused = Refusal("MC0453", refused.cause, refused.proof, refused.fix)
    return write(name, form, diagnose_refusal(refused), status)


def death(request: Request, diagnosis: Diagnosis, status: int) -> None:
    """Report how the command ended; its status stays what it is. --quiet leaves it out."""
    if request.diagnosis == "json":
        messages.write(as_json(diagnosis, status))
    elif request.verbosity >= 0:
        messages.say(request, diagnosis.happened)
        messages.write(as_text(diagnosis))


def write(name: Name, form: str, diagnosis: Diagnosis, status: int) -> int:
    """Write the report in the form asked for, "text" or "json"; gives the status back."""
    if form == "json":
        messages.write(as_json(diagnosis, status))
    else:
        messages.fatal(name.program, diagnosis.happened)
        messages.write(as_text(diagnosis))
    return status


def status_of(name: Name, failed: Failure) -> int:
    """126 and 127 are about the command, as every shell has them; the rest is the launcher's.

    The status of an image's script that ends the launch is handed on, as apptainer does.
    """
    if failed.call == "source":
        return int(str(failed.arguments[1]))
    if failed.step.verb() != "Execute" or failed.call not in ("search", "execve"):
        return name.failure_status
    if failed.errno in (errno.ENOENT, errno.ENOTDIR):
        return name.not_found_status
    return name.not_executable_status
