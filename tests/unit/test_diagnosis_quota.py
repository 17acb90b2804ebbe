"""What quotactl(2) answers is read as the kernel writes it, and told with its limits."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from minictr.diagnosis.probes.quotas import _quota
from minictr.diagnosis.quota import with_limits
from minictr.diagnosis.values import Proof

DQBLK = "8QI4x"  # include/uapi/linux/quota.h, struct if_dqblk
SPACE = (2000, 1000, 4096)  # hard and soft limit in KiB, bytes in use
INODES = (300, 0, 7)


def test_limits_and_use_are_read_in_the_kernels_order() -> None:
    answer = bytearray(struct.pack(DQBLK, *SPACE, *INODES, 0, 0, 0x3F))
    quota = _quota(0, os.geteuid(), answer)
    assert quota.limited
    assert quota.words() == (
        "4096 bytes in use, soft limit 1024000 and hard limit 2048000; "
        "7 inodes in use, hard limit 300"
    )


def test_a_quota_without_a_limit_is_none() -> None:
    answer = bytearray(struct.pack(DQBLK, 0, 0, 4096, 0, 0, 7, 0, 0, 0x3F))
    assert not _quota(1, os.getegid(), answer).limited


def test_where_no_limit_is_known_the_proof_says_so(tmp_path: Path) -> None:
    proof = with_limits(Proof("the disk quota is used up", ("EDQUOT",)), str(tmp_path))
    assert proof.seen[0] == "EDQUOT"
    assert "quotactl(2) knows no limit of the user" in proof.seen[1]
    assert proof.fix_administrator.startswith("Raise the limit ")
