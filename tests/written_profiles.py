"""Seccomp profiles written by a test, and what becomes of them."""

from __future__ import annotations

import json
from pathlib import Path

import pyseccomp
import pytest

from minictr.refusal import Refusal
from minictr.runtime import bpf
from minictr.runtime.filter import action_name, compile_filter
from minictr.runtime.profile import read_profile

MINIMAL = 'default_action = "allow"\n'
GROUP = '[[group]]\nname = "g"\nwhy = "w."\n'


def write(directory: Path, content: str | bytes | dict[str, object]) -> str:
    path = directory / "profile"
    if isinstance(content, dict):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def refusal(path: str, machine: str = "x86_64") -> Refusal:
    with pytest.raises(Refusal) as caught:
        compile_filter(read_profile(path), machine, keep_capabilities=False)
    return caught.value


def ask(
    path: str, call: str | int, *arguments: int, abi: str = "x86_64", keep: bool = False
) -> str:
    number = call
    if isinstance(call, str):
        arch = pyseccomp.Arch.X86 if abi == "x86" else pyseccomp.Arch.X86_64
        number = pyseccomp.resolve_syscall(arch, call)
    assert isinstance(number, int)
    program = compile_filter(read_profile(path), "x86_64", keep).bpf
    return action_name(bpf.verdict(program, bpf.AUDIT_ARCH[abi], number, arguments))


def call(**fields: object) -> dict[str, object]:
    entry = {"names": ["ioctl"], "action": "SCMP_ACT_ERRNO"} | fields
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [entry]}
