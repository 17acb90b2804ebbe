"""Says whether an image's inodes and directories, or one file of it, can be read.

Of what is damaged squashfuse says that it does not exist: ENOENT, for which there are other causes.
"""

from __future__ import annotations

import os
import subprocess

from minictr.image.open import Image, open_image
from minictr.image.programs import SYSTEM_PATH
from minictr.image.source import open_source
from minictr.image.unpack import find_unsquashfs
from minictr.image.verdict import judge, listen
from minictr.refusal import Refusal

PATIENCE = 20  # seconds; unsquashfs lists 100,000 inodes in one
DAMAGED = "MC0120"


def damage(path: str, file: str = "") -> Refusal | None:
    """The refusal for an image that is damaged there; None where it is not, or nobody can tell.

    file   of the image, without symbolic links, whose bytes are read instead
    """
    try:
        image = open_image(path)
        source = open_source(path)
        try:
            status, words = _read(source.descriptor, image, file)
        finally:
            os.close(source.descriptor)
        judge(status, words, image, "/")
    except Refusal as refusal:
        return refusal if refusal.code == DAMAGED else None
    except (OSError, subprocess.SubprocessError):  # no process, or no patience, to find it out
        return None
    return None


def _read(descriptor: int, image: Image, file: str) -> tuple[int, list[str]]:
    """How unsquashfs ended that reads every inode and directory, or a file, and its words."""
    what = ["-no-wildcards", "-cat"] if file else ["-lln"]  # -cat is that of 4.5
    given = [*what, "-offset", str(image.offset), f"/proc/self/fd/{descriptor}"]
    done = subprocess.run(
        [find_unsquashfs(), *given, *[file.lstrip("/")] * bool(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(descriptor,),
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C"},
        text=True,
        errors="surrogateescape",
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, listen(done.stderr.splitlines())[1]
