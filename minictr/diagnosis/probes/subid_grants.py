"""The commands that grant ranges of ids, as the files of a host need them."""

from __future__ import annotations

from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.subid_source import other_source
from minictr.diagnosis.probes.subids import (
    COUNT,
    FIRST,
    SubIds,
    free_range,
    irregular,
    read_subids,
)
from minictr.host import LAST_ID
from minictr.image.refusals import quoted

_OPTIONS = {"subuid": "--add-subuids", "subgid": "--add-subgids"}


def both_files(interview: Interview) -> tuple[SubIds, SubIds]:
    """/etc/subuid and /etc/subgid."""
    return (
        interview.once(read_subids, interview.host, "subuid"),
        interview.once(read_subids, interview.host, "subgid"),
    )


def lacking(interview: Interview) -> list[SubIds]:
    """The files without a range for the caller, where the launcher found none."""
    return [file for file in both_files(interview) if not file.own and not file.fact.unreadable]


def without_entry(interview: Interview) -> list[str]:
    """The files without a line for the caller: what one command may add to."""
    return [name for name, file in zip(_OPTIONS, both_files(interview), strict=True)
            if not (file.own or file.malformed or file.void or file.fact.unreadable or file.kind)
            ]  # fmt: skip


def asked_instead(interview: Interview) -> tuple[str, ...]:
    """A `subid:` line of nsswitch.conf(5): then newuidmap asks elsewhere, and minictr does not."""
    name, library = interview.once(other_source, interview.host)
    words = f"/etc/nsswitch.conf: subid: {name}, which {library} is for; minictr reads the files"
    return (words,) if name else ()


def grant(interview: Interview, kinds: list[str]) -> str:
    """The command that adds a range to each of the files."""
    first, last = free_range(*both_files(interview))
    host = interview.host
    if asked_instead(interview):
        files = " and ".join(f"/etc/{name}" for name in kinds)
        return f"Write what getsubids {host.user} prints into {files}, as NAME:FIRST:COUNT."
    if last > LAST_ID:
        return (
            "Take ranges of others out of /etc/subuid or /etc/subgid: after "
            f"{FIRST - 1} no {COUNT} ids in a row are free, and {LAST_ID} is the last one."
        )
    for path in ("/proc/self/uid_map", "/proc/self/gid_map"):
        if not _mapped(interview.fact(path).text, first, last):
            return (
                f"Start minictr in a user namespace with more ids: a range granted in this one has "
                f"to lie in its own map, and {path} lacks {first} to {last}."
            )
    if interview.fact("/etc/passwd").text.find(f"\n{host.user}:") < 0:  # usermod(8) is for those
        line = f"{host.user}:{first}:{last - first + 1}"
        return "\n".join(f"echo {quoted(line)} >>/etc/{name}" for name in kinds)
    # usermod(8) makes no file, and follows no link to one that is missing; install(1) replaces it.
    lacking = [name for name in kinds if not host.exists(f"/etc/{name}")]
    made = [f"install -m 644 /dev/null /etc/{name}" for name in lacking]
    options = " ".join(f"{_OPTIONS[name]} {first}-{last}" for name in kinds)
    return "\n".join([*made, f"usermod {options} {quoted(host.user)}"])


def file_for(interview: Interview, path: str) -> str:
    """The command that puts a file with a range for the caller in the place of something else."""
    first, last = free_range(*both_files(interview))
    remove = {"a directory": "rmdir", "a FIFO": "rm"}.get(irregular(path))
    if last > LAST_ID or not remove:
        return (
            f"Put a regular file that grants {interview.host.user} a range in the place of {path}."
        )
    line = quoted(f"{interview.host.user}:{first}:{last - first + 1}")
    return f"{remove} {path} && echo {line} >{path}"


def _mapped(text: str, first: int, last: int) -> bool:
    """Whether a uid_map, user_namespaces(7), has an id for each number of a range."""
    lines = [[int(field) for field in line.split()] for line in text.splitlines()]
    return any(start <= first and last < start + count for start, _, count in lines)
