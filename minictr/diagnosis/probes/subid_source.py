"""Finds out whom newuidmap and newgidmap ask for subordinate ids: nsswitch.conf(5), `subid:`."""

from __future__ import annotations

import glob

from minictr.host import Host


def other_source(host: Host) -> tuple[str, str]:
    """(the source's name, its library) where it is not the files; ("", "") where it is.

    shadow asks the first one named, and the files where there is no library for it: lib/nss.c,
    nss_init.
    """
    for line in host.fact("/etc/nsswitch.conf").text.splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["subid:"] and words[1:] and words[1] != "files":
            library = _library(f"libsubid_{words[1]}.so")
            return (words[1], library) if library else ("", "")
    return "", ""


def _library(name: str) -> str:
    """Where the library is, in a directory of the system's; "" for nowhere."""
    for place in ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"):
        for found in (*glob.iglob(f"{place}/{name}"), *glob.iglob(f"{place}/*/{name}")):
            return found
    return ""
