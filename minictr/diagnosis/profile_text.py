"""Writes the AppArmor profile that frees minictr, with the path that minictr was started by."""

from __future__ import annotations

import posix
import sys

from minictr.host import canonical

FILE = "/etc/apparmor.d/minictr"
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+")


def load_profile(program: str) -> str:
    """The commands that write and load the profile of docs/apparmor.md, for the administrator."""
    script = start_script(program)
    if not script:
        return (
            "Load the profile of docs/apparmor.md for the path of minictr's start script, and "
            "start minictr by it."
        )
    lines = " ".join(f"'{line}'" for line in profile(script).splitlines())
    text = f"printf '%s\\n' {lines} >{FILE}\napparmor_parser --replace {FILE}"
    if posix.access(script, posix.W_OK) and posix.geteuid():
        text += (
            f"\nInstall minictr where only root can write first: whoever can change {script} gives "
            "what the profile grants to any program."
        )
    return text


def profile(script: str) -> str:
    """The profile, of version 4.0 of AppArmor's language: older parsers have no rule userns."""
    return (
        "abi <abi/4.0>,\ninclude <tunables/global>\n"
        f"profile minictr {_path(script)} flags=(unconfined) {{\n  userns,\n}}\n"
    )


def start_script(program: str) -> str:
    """The file that was executed, links followed: AppArmor attaches a profile by its path.

    The kernel hands one that names its interpreter to that: execve(2). The shell script gives the
    package's directory as BIN/../..., where BIN is its own. "" for `python3 -m minictr`.
    """
    if sys.argv[0] != "-c":
        return ""
    if sys.orig_argv[1:2] == ["-ISXutf8"]:
        return canonical(sys.orig_argv[2])
    places = [word.partition("/../") for word in sys.argv[1:3]]
    own = [f"{place}/{name}" for place, up, _ in places if up for name in (program, "minictr")]
    path = posix.environ.get(b"PATH", b"").decode("utf-8", "surrogateescape")
    for candidate in (*own, *(f"{place}/{program}" for place in path.split(":") if place)):
        if posix.access(candidate, posix.X_OK):
            return canonical(candidate)
    return ""


def _path(path: str) -> str:
    """A path in AppArmor's language, in which some characters stand for others."""
    if _PLAIN.issuperset(path):
        return path
    special = frozenset('*?[]{}^"\\')
    return '"' + "".join(f"\\{one}" if one in special else one for one in path) + '"'
