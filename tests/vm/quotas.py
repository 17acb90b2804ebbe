"""Quotas of ext4, which the kernels of the machines have."""

from __future__ import annotations

from vm.fault import AS_USER, COMMANDS, Fault

IN_QUOTA = f'MINICTR_CACHEDIR=/mnt/quota/cache {AS_USER} minictr exec "$SIF" true'
NONE = "tester 0 0 0 0 /mnt/quota"
EMPTIED = f"rm -rf /mnt/quota/*; setquota --user {NONE}; setquota --group {NONE}"


def over(name: str, limit: str, proof: str, raised: str) -> Fault:
    """A limit of the user's or of his group's on a disk; near it, that disk is full."""
    return Fault(
        "MC0144",
        name=name,
        machine="quota",
        as_root=True,
        prepare=f"{EMPTIED}; setquota --{limit} /mnt/quota",
        script=IN_QUOTA,
        proof=("the disk quota for the cache directory /mnt/quota/cache is used up", proof),
        fix=(f"setquota --{raised} /mnt/quota",),
        repaired=f"{COMMANDS}; {IN_QUOTA}",
        near=f"{EMPTIED}; head -c 100M /dev/zero >/mnt/quota/other; {IN_QUOTA}",
        instead="MC0121",
        asked=False,
    )


QUOTAS = [
    over("user", "user tester 0 2000 0 0", "hard limit 2048000;", "user tester 0 4000 0 0"),
    over("group", "group tester 0 2000 0 0", "group tester: ", "group tester 0 4000 0 0"),
    over("inodes", "user tester 0 0 250 300", "250 and hard limit 300", "user tester 0 0 500 600"),
]
