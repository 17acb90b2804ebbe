"""Asks what the caller lets execve(2) give to a program: its bounding set and its securebits."""

from __future__ import annotations

import posix
import stat


def bounded(capability: str) -> bool:
    """Whether the bounding set holds back a capability, "CAP_SETUID": PR_CAPBSET_READ(2const).

    What is not in it no program gets at execve(2), be it setuid root.
    """
    import _prctl  # python-prctl without its Python part, which wraps every capability

    return not _prctl.prctl(_prctl.PR_CAPBSET_READ, getattr(_prctl, capability))


def noroot() -> bool:
    """Whether setuid root gives no capabilities here: PR_GET_SECUREBITS(2const), SECBIT_NOROOT."""
    import _prctl

    return bool((_prctl.prctl(_prctl.PR_GET_SECUREBITS) or 0) & _prctl.SECBIT_NOROOT)


def gives_privilege(path: str) -> bool:
    """Whether execve(2) of the file gives one: a setuid or setgid bit, or file capabilities."""
    try:
        if posix.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID):
            return True
        return bool(posix.getxattr(path, "security.capability"))
    except OSError:  # it is not at that path here, or has no such attribute
        return False
