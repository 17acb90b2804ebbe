"""Says which package of an image has a file, by the records of the image's package manager."""

from __future__ import annotations

import os

from minictr.diagnosis.probes.walk import walk
from minictr.host import read_fact
from minictr.image.refusals import quoted

_DPKG = "/var/lib/dpkg/info"  # NAME.list, or NAME:ARCHITECTURE.list: one path a line
_APK = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")  # apk-tools 2 and 3


def reinstalling(root: str, path: str) -> str:
    """The command that installs the package of a file anew, in the image; "" where none is known.

    path   of the file without symbolic links, below `root`
    """
    below_usr = path.removeprefix("/usr")
    names = {path, below_usr, f"/usr{below_usr}"}  # where /bin is a link to usr/bin
    if package := _of_dpkg(root, names):
        return f"apt-get install --reinstall {quoted(package)}"
    if package := _of_apk(root, names):
        return f"apk fix --reinstall {quoted(package)}"
    return ""


def _of_dpkg(root: str, names: set[str]) -> str:
    place = walk(root, _DPKG)
    files = os.listdir(root + place.reached) if place.is_directory() else []
    for file in files:
        package, _, kind = file.rpartition(".")
        if kind == "list" and names & set(_text(root, f"{_DPKG}/{file}").split("\n")):
            return package
    return ""


def _of_apk(root: str, names: set[str]) -> str:
    """Lines of a package: P its name, F a directory of it, R a file in the last directory."""
    package = directory = ""
    for line in "\n".join(_text(root, path) for path in _APK).split("\n"):
        field, _, value = line.partition(":")
        if field == "P":
            package = value
        elif field == "F":
            directory = value
        elif field == "R" and f"/{directory}/{value}" in names:
            return package
    return ""


def _text(root: str, path: str) -> str:
    place = walk(root, path)
    return read_fact(root + place.reached).text if place.is_file() else ""
