"""The kernel's own words about a mount that failed: mount(2) has none, the new mount API has."""

from __future__ import annotations

import errno
import posix

from minictr.diagnosis.probes.calls import try_mount
from minictr.diagnosis.probes.children import ask
from minictr.diagnosis.probes.mount_calls import number_of
from minictr.runtime.launch import Failure
from minictr.runtime.mounts import HOST
from minictr.runtime.syscalls import raw


def kernel_words(failure: Failure) -> str:
    """What the kernel says of the same mount, made again where the witness is; "" for nothing.

    The file system is made, and attached nowhere. Words count only where the call that answers
    them fails with the errno of the step: another failure would be another story.
    """
    if failure.call != "mount" or not failure.witness or len(failure.arguments) < 5:
        return ""
    kind, options = failure.arguments[2], failure.arguments[4]
    if not isinstance(kind, str) or not isinstance(options, str):
        return ""
    tree = str(getattr(failure.step, "tree", ""))
    answer = ask(_repeat, failure.witness, kind, options, tree)
    if answer.trouble or not isinstance(answer.value, tuple):
        return ""
    _, number, words = answer.value
    return str(words) if number == failure.errno else ""


def _repeat(witness: int, kind: str, options: str, tree: str) -> tuple[str, int, str]:
    for namespace in ("user", "mnt"):
        trouble = _enter(witness, namespace)
        if trouble:
            return "setns", trouble, ""
    if tree:  # the step has gone there: its options name the tree by "."
        posix.chdir(HOST + tree)
    answer = try_mount(kind, options)
    return answer.call, answer.errno, answer.words


def _enter(witness: int, namespace: str) -> int:
    """setns(2): the witness's user namespace is the launcher's own child; 0 or the errno."""
    try:
        descriptor = posix.open(f"/proc/{witness}/ns/{namespace}", posix.O_RDONLY)
    except OSError as error:
        return error.errno or errno.ENOENT
    return max(-raw(number_of("setns"), descriptor, 0), 0)
