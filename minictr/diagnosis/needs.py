"""Looks at what launches need besides the kernel: the cache, the programs, an image."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable

from minictr.diagnosis import diagnose_refusal
from minictr.diagnosis.report import as_json
from minictr.diagnosis.trials import Finding
from minictr.diagnosis.words import errno_name
from minictr.host import Host
from minictr.image.build import find_mksquashfs
from minictr.image.cache import prepare, writing
from minictr.image.open import open_image
from minictr.image.squashfuse import DEVICE, SERVER, find_server, try_device
from minictr.image.unpack import find_unsquashfs
from minictr.refusal import Refusal

_GIGABYTE = 10**9


def look(name: str, breaks: str, needed: bool, question: Callable[[], str]) -> Finding:
    """What the question answers, as the detail of what works; a Refusal is what fails."""
    try:
        return Finding(name, "works", breaks, needed, detail=question())
    except Refusal as refusal:
        report = json.loads(as_json(diagnose_refusal(refusal), 1))
        return Finding(name, "fails", breaks, needed, report=report)


def look_around(cache: str, host: Host) -> list[Finding]:
    """The cache and the programs that the host lends, and what surrounds a launch."""
    return [
        look("cache", "images that are files", True, lambda: _cache(cache)),
        look("unsquashfs", "images that are files", True, find_unsquashfs),
        look("mksquashfs", "minictr build", False, find_mksquashfs),
        Finding("security modules", "known", needed=False, detail=_modules(host)),
        Finding("cgroup", "known", needed=False, detail=_cgroup(host)),
        look(SERVER, "starting a big image before it is unpacked", False, _server),
    ]


def look_at(path: str) -> Finding:
    """The image: what it is, as far as opening tells."""
    return look(f"image {path}", f"launches of {path}", True, lambda: _image(path))


def _cache(cache: str) -> str:
    """Make the cache and write to it, as unpacking does."""
    prepare(cache)
    with writing(cache), tempfile.TemporaryFile(dir=f"{cache}/tmp") as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
    numbers = os.statvfs(cache)
    free = f"{numbers.f_bavail * numbers.f_frsize / _GIGABYTE:.1f} GB"
    inodes = f" and {numbers.f_favail} inodes" if numbers.f_files else ""
    return f"{cache}: {free}{inodes} free"


def _image(path: str) -> str:
    image = open_image(path)
    words = [image.kind, image.architecture, image.compressor]
    return ", ".join(word for word in words if word)


def _modules(host: Host) -> str:
    """The active modules, and what they make of this process."""
    modules = host.fact("/sys/kernel/security/lsm")
    label = host.fact("/proc/self/attr/current").text.strip("\0\n")
    listed = modules.text or f"the list cannot be read: {errno_name(modules.errno)}"
    return f"{listed}; this process is {label}" if label else listed


def _cgroup(host: Host) -> str:
    """The cgroups of this process that limit processes and memory."""
    text = host.fact("/proc/self/cgroup").text
    lines = [line.split(":", 2) for line in text.split("\n")[:-1]]  # a group's name may hold \f
    counted = {"pids", "memory", ""}  # "" is cgroup v2
    return ", ".join(
        f"{controllers or 'v2'}:{path}"
        for _, controllers, path in lines
        if counted & set(controllers.split(","))
    )


def _server() -> str:
    """What serves an image that is not unpacked yet."""
    program = find_server()
    try_device()
    return f"{program}; {DEVICE} can be opened"
