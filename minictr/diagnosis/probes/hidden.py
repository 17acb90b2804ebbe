"""Finds a program that the image has, and that a mount of the container's hides."""

from __future__ import annotations

from minictr.diagnosis.again import again
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.walk import walk
from minictr.image.refusals import printable
from minictr.runtime.places import below, home_of, real
from minictr.value import Value


class Hidden(Value):
    """What the image has at a path, and what lies on top of it.

    program  its path in the image
    target   where the mount is, as it was asked for
    source   what of the host it shows, "" for an empty file system
    """

    program: str
    target: str
    source: str

    def what(self) -> str:
        return f"the bind of {self.source} on {self.target}" if self.source else self._empty()

    def fact(self) -> str:
        return f"the image has {self.program}, and {self.what()} hides it"

    def _empty(self) -> str:
        return f"an empty file system on {self.target}"


def hidden(interview: Interview, path: str) -> Hidden | None:
    """The program at `path` of the image, where something is mounted over it."""
    steps = [step.__dict__ for step in interview.plan.build]
    tree = next((str(step["tree"]).rstrip("/") for step in steps if "tree" in step), "")
    found = walk(tree, path)
    if not tree or not found.is_program():
        return None
    above, _, name = path.rpartition("/")
    places = (found.reached, f"{walk(tree, above).reached}/{name}")  # where a link leads, and it
    for step in reversed(steps):
        target = str(step.get("target", ""))
        point = walk(tree, target)
        if target and point.found and any(below(place, point.reached) for place in places):
            return Hidden(path, target, str(step.get("source", "")))
    return None


def uncovered(interview: Interview, one: Hidden) -> str:
    """What the user can do: each mount has an option of its own."""
    request, target = interview.request, one.target
    # The step has the target with the image's links followed, and the source with the host's.
    asked = (b.target for b in request.binds if one.source in (b.source, real(b.source)))
    named = next(asked, "")
    shown = printable(named or target)
    if named:
        source = printable(one.source)
        return f"Bind {source} at another path than {shown}, or leave that bind out."
    if target in request.scratch:
        return f"Name another directory than {shown} for --scratch."
    if target == home_of(request, interview.host):
        fix = f"Give --home another target than {shown}."
        return fix if any(request.home) else again(request, "--no-home")
    return again(request, "--no-mount", "tmp" if target in ("/tmp", "/var/tmp") else "cwd")
