"""What this machine is run in and from: the words for a fix that somebody can carry out."""

from __future__ import annotations

import shlex

from minictr.host import Host

# ID or ID_LIKE of os-release(5): the command that installs the helpers' package.
_INSTALL = {
    "debian": "apt-get install uidmap",
    "ubuntu": "apt-get install uidmap",
    "fedora": "dnf install shadow-utils",
    "rhel": "dnf install shadow-utils",
    "suse": "zypper install shadow",
    "arch": "pacman -S shadow",
    "alpine": "apk add shadow-uidmap",
}
_PLACES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")


def container_engine(host: Host) -> str:
    """The engine whose container this is: "docker", "podman", "" where none left its mark."""
    if host.exists("/run/.containerenv"):
        return "podman"
    if host.exists("/.dockerenv"):
        return "docker"
    return host.fact("/run/systemd/container").text.strip()


def systemd_unit(host: Host) -> str:
    """The service this process belongs to, "" for none: the last part of its cgroup."""
    for line in host.fact("/proc/self/cgroup").text.split("\n"):
        name = line.rpartition("/")[2]
        if name.endswith(".service") and not name.startswith("user@"):
            return name
    return ""


def helpers_package(host: Host) -> str:
    """The command that installs newuidmap and newgidmap here; a sentence where it is not known."""
    for name in distribution(host.fact("/etc/os-release").text):
        if name in _INSTALL:
            return _INSTALL[name]
    return "Install the package of this distribution that has newuidmap and newgidmap."


def distribution(os_release: str) -> tuple[str, ...]:
    """ID and the words of ID_LIKE, the most specific first: os-release(5)."""
    values = {}
    for line in os_release.splitlines():
        name, _, value = line.partition("=")
        values[name] = shlex.split(value)[0] if value.strip() else ""
    return (values.get("ID", ""), *values.get("ID_LIKE", "").split())


def sysctl_files(host: Host, key: str, value: str = "") -> tuple[str, ...]:
    """The lines that set `key` at start-up, to `value` where that is given: "FILE: line"."""
    import os

    paths = ["/etc/sysctl.conf"]
    for place in _PLACES:
        try:
            names = os.listdir(host.root + place)
        except OSError:  # most of them do not exist
            continue
        paths += [f"{place}/{name}" for name in names if name.endswith(".conf")]
    found = []
    for path in paths:
        for line in host.fact(path).text.splitlines():
            name, _, given = line.partition("=")
            known = name.strip().lstrip("-").replace("/", ".") == key
            if known and given.strip() == (value or given.strip()):
                found.append(f"{path}: {line.strip()}")
    return tuple(found)
