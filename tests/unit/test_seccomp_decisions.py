"""What the two profiles decide, call by call, asked of the compiled filters."""

from __future__ import annotations

import functools
from pathlib import Path

import pyseccomp
import pytest

import minictr
from minictr.runtime import bpf
from minictr.runtime.filter import action_name, compile_filter
from minictr.runtime.profile import MACHINES, read_profile

PROFILES = Path(minictr.__file__).parent / "profiles"
ARCH = {
    "x86_64": pyseccomp.Arch.X86_64,
    "x86": pyseccomp.Arch.X86,
    "x32": pyseccomp.Arch.X32,
    "aarch64": pyseccomp.Arch.AARCH64,
    "arm": pyseccomp.Arch.ARM,
}
MACHINE = {"x86": "x86_64", "x32": "x86_64", "arm": "aarch64"}
TIOCSTI, TIOCLINUX, TCGETS, HIGH = 0x5412, 0x541C, 0x5401, 1 << 32
SIGCHLD, CLONE_NEWUSER, CLONE_NEWNET = 17, 0x10000000, 0x40000000
THREAD = 0x3D0F00  # what pthread_create(3) gives to clone(2)


@functools.cache
def compiled(name: str, machine: str, keep: bool) -> bytes:
    return compile_filter(read_profile(str(PROFILES / f"{name}.toml")), machine, keep).bpf


def ask(
    profile: str, call: str | int, *arguments: int, abi: str = "x86_64", keep: bool = False
) -> str:
    number = call if isinstance(call, int) else pyseccomp.resolve_syscall(ARCH[abi], call)
    assert number >= 0, f"{abi} has no {call}"
    architecture = bpf.AUDIT_ARCH["x86_64" if abi == "x32" else abi]
    program = compiled(profile, MACHINE.get(abi, abi), keep)
    return action_name(bpf.verdict(program, architecture, number, arguments))


@pytest.mark.parametrize("abi", ["x86_64", "x86", "x32", "aarch64", "arm"])
@pytest.mark.parametrize("profile", ["default", "compat"])
@pytest.mark.parametrize(
    ("call", "arguments", "answer"),
    [
        ("read", (), "allow"),
        ("execve", (), "allow"),
        ("futex", (), "allow"),
        ("ptrace", (), "allow"),
        ("process_vm_readv", (), "allow"),
        ("ioctl", (0, TCGETS), "allow"),
        ("ioctl", (0, TIOCSTI), "errno EPERM"),
        ("ioctl", (0, TIOCLINUX), "errno EPERM"),
        ("keyctl", (), "errno EPERM"),
        ("add_key", (), "errno EPERM"),
        ("request_key", (), "errno EPERM"),
        ("init_module", (), "errno EPERM"),
        ("finit_module", (), "errno EPERM"),
        ("delete_module", (), "errno EPERM"),
        ("kexec_load", (), "errno EPERM"),
        ("reboot", (), "errno EPERM"),
        ("swapon", (), "errno EPERM"),
        ("open_by_handle_at", (), "errno EPERM"),
        ("bpf", (), "errno EPERM"),
        ("clone", (SIGCHLD,), "allow"),
        ("clone", (THREAD,), "allow"),
    ],
)
def test_both_profiles_agree_on(
    profile: str, abi: str, call: str, arguments: tuple[int, ...], answer: str
) -> None:
    assert ask(profile, call, *arguments, abi=abi) == answer


# call, arguments, default, default with capabilities kept, compat
DIFFERENT = [
    ("clone", (SIGCHLD | CLONE_NEWUSER,), "errno EPERM", "allow", "allow"),
    ("clone", (SIGCHLD | CLONE_NEWNET,), "errno EPERM", "allow", "allow"),
    ("clone3", (), "errno ENOSYS", "allow", "allow"),
    ("unshare", (CLONE_NEWUSER,), "errno EPERM", "allow", "allow"),
    ("setns", (), "errno EPERM", "allow", "allow"),
    ("mount", (), "errno EPERM", "allow", "allow"),
    ("umount2", (), "errno EPERM", "allow", "allow"),
    ("fsopen", (), "errno EPERM", "allow", "allow"),
    ("move_mount", (), "errno EPERM", "allow", "allow"),
    ("pivot_root", (), "errno EPERM", "allow", "allow"),
    ("chroot", (), "errno EPERM", "allow", "allow"),
    ("sethostname", (), "errno EPERM", "allow", "allow"),
    ("pidfd_getfd", (), "errno EPERM", "allow", "allow"),
    ("userfaultfd", (), "errno EPERM", "errno EPERM", "allow"),
    ("perf_event_open", (), "errno EPERM", "errno EPERM", "allow"),
    ("io_uring_setup", (), "errno ENOSYS", "errno ENOSYS", "allow"),
    ("syslog", (), "errno EPERM", "errno EPERM", "allow"),
    ("personality", (0,), "allow", "allow", "allow"),
    ("personality", (0xFFFFFFFF,), "allow", "allow", "allow"),
    ("personality", (0x40000,), "errno EPERM", "errno EPERM", "allow"),
    (9999, (), "errno ENOSYS", "errno ENOSYS", "allow"),
    (453, (), "allow", "allow", "allow"),  # map_shadow_stack: added by number on an old libseccomp
    (462, (), "allow", "allow", "allow"),  # mseal
    (467, (), "errno ENOSYS", "allow", "allow"),  # open_tree_attr
]


@pytest.mark.parametrize("abi", ["x86_64", "aarch64", "x86", "arm"])
@pytest.mark.parametrize(("call", "arguments", "default", "kept", "compat"), DIFFERENT)
def test_the_profiles_differ_on(
    abi: str, call: str | int, arguments: tuple[int, ...], default: str, kept: str, compat: str
) -> None:
    answers = (
        ask("default", call, *arguments, abi=abi),
        ask("default", call, *arguments, abi=abi, keep=True),
        ask("compat", call, *arguments, abi=abi),
    )
    assert answers == (default, kept, compat)


@pytest.mark.parametrize("abi", ["x86_64", "x32", "aarch64"])
@pytest.mark.parametrize("profile", ["default", "compat"])
def test_high_bits_that_the_kernel_ignores_do_not_smuggle_tiocsti_past(
    profile: str, abi: str
) -> None:
    assert ask(profile, "ioctl", 0, TIOCSTI | HIGH, abi=abi) == "errno EPERM"


@pytest.mark.parametrize("abi", ["x86_64", "aarch64", "arm"])
def test_socket_families_that_leave_the_container_are_refused(abi: str) -> None:
    asked = [ask("default", "socket", *a, abi=abi) for a in [(1,), (2,), (16, 3, 0), (38,), (40,)]]
    assert asked == ["allow", "allow", "allow", "errno EPERM", "errno EPERM"]
    assert ask("default", "socket", 16, 3, 9, abi=abi) == "errno EINVAL"


def test_32_bit_x86_keeps_its_sockets() -> None:
    # A filter cannot see socketcall's arguments: refusing one family there would refuse them all.
    assert ask("default", "socketcall", 1, 0, abi="x86") == "allow"
    assert ask("default", 359, 2, abi="x86") == "allow"


def test_uretprobe_is_a_call_of_64_bit_x86_alone() -> None:
    assert ask("default", 335) == "allow"
    assert ask("default", "rt_tgsigqueueinfo", abi="x86") == "allow"  # number 335 there
    assert ask("default", 335, abi="aarch64") == "errno ENOSYS"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("profile", ["default", "compat"])
def test_an_abi_that_the_machine_does_not_have_is_killed(profile: str, machine: str) -> None:
    mips = 8  # EM_MIPS, linux/elf-em.h
    answer = bpf.verdict(compiled(profile, machine, False), mips, 1)
    assert answer == bpf.SECCOMP_RET_KILL_PROCESS


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("profile", ["default", "compat"])
def test_the_filter_stays_below_half_of_what_the_kernel_takes(profile: str, machine: str) -> None:
    assert len(compiled(profile, machine, False)) // 8 < bpf.BPF_MAXINSNS // 2


@pytest.mark.parametrize("profile", ["default", "compat"])
def test_every_group_says_why(profile: str) -> None:
    for rule in read_profile(str(PROFILES / f"{profile}.toml")).rules:
        assert rule.why.endswith((".", ")")), rule.place
        assert rule.syscalls, rule.place


@pytest.mark.parametrize("profile", ["default", "compat"])
def test_no_call_stands_twice_in_one_group_or_out_of_order(profile: str) -> None:
    for rule in read_profile(str(PROFILES / f"{profile}.toml")).rules:
        assert list(rule.syscalls) == sorted(set(rule.syscalls)), rule.place
