"""`minictr explain [CODE]`: the story of a cause, or the list of all of them."""

from __future__ import annotations

from minictr.cli.messages import write
from minictr.diagnosis.catalogue import all_causes
from minictr.diagnosis.values import Cause
from minictr.refusal import Refusal

USAGE = """\
Usage: minictr explain [CODE...]

  print what stands behind the code of a cause; without one, list the codes
"""


def main(arguments: list[str], environ: dict[str, str]) -> int:
    """Carry out `minictr explain ARGUMENTS`; gives the exit status. Raises Refusal."""
    if {"-h", "--help"} & set(arguments):
        write(USAGE, 1)
        return 0
    if not arguments:
        lines = (f"{code}  {entry.title}\n" for code, entry in sorted(all_causes().items()))
        write("".join(lines), 1)
        return 0
    write("\n".join(text_of(find(code)) for code in arguments), 1)
    return 0


def find(code: str) -> Cause:
    """The cause with that code, which may be written mc0203 or 0203."""
    wanted = "MC" + code.upper().removeprefix("MC")
    if wanted not in all_causes():
        raise Refusal("request", f"no cause has the code {code}", "", "minictr explain lists them.")
    return all_causes()[wanted]


def text_of(entry: Cause) -> str:
    """Title, steps and story."""
    stops = f"Stops: {', '.join(entry.stops)}.\n\n" if entry.stops else ""
    return f"{entry.code}: {entry.title}\n\n{stops}{entry.story}\n"
