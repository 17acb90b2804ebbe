"""`minictr why -- COMMAND ...`: explains why another program failed."""

from __future__ import annotations

import json

from minictr.cli.grammar import read_flags
from minictr.cli.messages import fatal, tell, write
from minictr.cli.names import MINICTR
from minictr.cli.options import index
from minictr.diagnosis.report import as_json, as_text
from minictr.host import read_host
from minictr.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.cli.options import Table
    from minictr.diagnosis.watch.explain import Answer

OPTIONS: Table = (
    ("diagnosis", "", "string", "DIAGNOSIS", "text|json", "how a failure is reported"),
    ("help", "h", "bool", "", "", "print this help"),
)
USAGE = """\
Usage: minictr why [--diagnosis text|json] [--] COMMAND [ARGUMENTS...]

  run any program; where it fails because the kernel refused it a namespace, an id map, a mount or a
  program, name the cause and prove it

  COMMAND runs as it is first, with the terminal and the input it is given, and its exit status is
  that of `why`. Where it fails it runs twice more, watched by strace(1), its output discarded: what
  it does in vain is done three times. newuidmap and newgidmap, which cannot work while they are
  watched, are run outside for it. Root's own privileges aside, other setuid programs cannot be
  watched; a failure that is not the same as unwatched is not explained.
"""
_DOCTOR = "minictr doctor tries what a launch needs on this machine"


def main(arguments: list[str], environ: dict[str, str]) -> int:
    """Carry out `minictr why ARGUMENTS`; gives the command's exit status. Raises Refusal."""
    values, command = read_flags(arguments, index(OPTIONS), {})
    if "help" in values:
        write(USAGE, 1)
        return 0
    if not command:
        raise Refusal("usage", "why needs a command", "", "minictr why -- COMMAND ...")
    form = str(values.get("diagnosis", environ.get("MINICTR_DIAGNOSIS", "text")))
    if form not in ("text", "json"):
        raise Refusal("usage", f"--diagnosis is text or json, not {form}")
    from minictr.diagnosis.watch.explain import explain

    answer = explain(command, read_host())
    write("" if answer.line_ended else "\n")
    write(_json(answer) if form == "json" else "")
    if form == "text":
        _say(answer)
    return answer.status


def _json(answer: Answer) -> str:
    """One object on one line; `diagnosis` has the form of a launch's report."""
    diagnosis = answer.diagnosis and json.loads(as_json(answer.diagnosis, answer.status))
    record = {
        "verdict": answer.verdict,
        "command": list(answer.command),
        "status": answer.status,
        "why": [answer.other, *answer.why] if answer.other else list(answer.why),
        "diagnosis": diagnosis,
    }
    return json.dumps(record) + "\n"


def _say(answer: Answer) -> None:
    name = answer.command[0]
    program, level = MINICTR.program, "info"
    if answer.verdict == "succeeded":
        tell(program, 0, level, f"{name} succeeded: there is nothing to explain")
    elif answer.diagnosis:
        fatal(program, answer.diagnosis.happened)
        write(as_text(answer.diagnosis))
    else:
        own = f"not refused by the kernel: {name} ended with status {answer.status}"
        if answer.other:
            own = f"not of namespaces, maps, mounts or exec: {answer.other}"
        words = {
            "own": own,
            "interrupted": f"not explained: {name} was interrupted",
            "differs": f"not explained: {name} ends otherwise when it is watched",
            "unwatched": f"not explained: {name} cannot be watched",
        }
        tell(program, 0, level, words[answer.verdict])
        advice = _DOCTOR if answer.verdict != "interrupted" else ""
        write("".join(f"  {line}\n" for line in (*answer.why, advice) if line))
