"""Compile a seccomp profile into the BPF that the kernel takes, with libseccomp (pyseccomp).

libseccomp alone would lose rules: of `refuse ioctl(TIOCSTI)` and `allow ioctl`, it keeps the
second. So a profile becomes up to four programs, asked one behind another (bpf.in_order):
refusals with conditions, permissions with conditions, calls younger than libseccomp, all others.
squeeze.py writes it anew, shorter unless hundreds of lone numbers have verdicts of their own.
"""

from __future__ import annotations

import errno
import functools

import pyseccomp

from minictr.refusal import Refusal
from minictr.runtime import bpf
from minictr.runtime.profile import Comparison, Profile, Rule, abis_of
from minictr.runtime.rules import chosen, layers
from minictr.runtime.squeeze import squeeze
from minictr.runtime.young_calls import ONE_MACHINE, SHARED
from minictr.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# What the earlier programs return for "ask the next one". No profile can ask for SCMP_ACT_TRACE.
_UNDECIDED = bpf.SECCOMP_RET_TRACE | 0xC7
_PERMITTING = (bpf.SECCOMP_RET_ALLOW, bpf.SECCOMP_RET_LOG)
_TREE = 2  # SCMP_FLTATR_CTL_OPTIMIZE: a binary tree of numbers, seccomp_attr_set(3)
_ARCH = {
    "x86_64": pyseccomp.Arch.X86_64,
    "x86": pyseccomp.Arch.X86,
    "x32": pyseccomp.Arch.X32,
    "aarch64": pyseccomp.Arch.AARCH64,
    "arm": pyseccomp.Arch.ARM,
}
_OPERATORS = {
    "==": pyseccomp.EQ,
    "!=": pyseccomp.NE,
    "<": pyseccomp.LT,
    "<=": pyseccomp.LE,
    ">": pyseccomp.GT,
    ">=": pyseccomp.GE,
}
# 32-bit x86 has these also, or only, inside socketcall(2) and ipc(2), whose arguments lie behind
# a pointer where no filter sees them. libseccomp would refuse or allow every such call whatever
# its arguments (it numbers the two families so on x86).
_MULTIPLEXED = (*range(-120, -100), *range(-224, -200))
_UNKNOWN = -1  # __NR_SCMP_ERROR

# What the launcher's own code calls between loading the filter and the payload's first
# instruction, with arguments as they occur (strace): the channel's words and the end.
NEEDED = (
    ("execve", (1, 1, 1), "to become the payload"),
    ("write", (3, 1, 64), "to report why execve failed"),
    ("read", (3, 1, 65536), "to wait while the failure is explained"),
    ("exit_group", (127,), "to end after a failed execve"),
)


class Filter(Value):
    """A compiled profile.

    bpf        struct sock_filter, eight bytes each
    by_number  calls that the installed libseccomp does not know, added by their numbers
    """

    bpf: bytes
    by_number: tuple[str, ...]


def compile_filter(profile: Profile, machine: str, keep_capabilities: bool) -> Filter:
    """The filter for a payload on `machine` (uname(2)) which keeps its capabilities or not.

    Refusals: MC0502 unknown call, MC0503 a rule libseccomp cannot take, or too long a filter,
    MC0504 the launcher itself could not go on under it.
    """
    for rule in profile.rules:
        _check_names(rule)
    native = abis_of(machine)[0]
    rules = chosen(profile, machine, keep_capabilities)
    whole = joined(profile, machine, rules)
    program = min(squeeze(whole, bpf.AUDIT_ARCH[native]), whole, key=len)
    _check_length(profile, program)
    _check_needed(profile, program, native)
    young = {name for rule in rules for name in rule.syscalls if _is_young(name)}
    return Filter(program, tuple(sorted(young)))


def joined(profile: Profile, machine: str, rules: list[Rule]) -> bytes:
    """The four programs one behind another, in libseccomp's own words."""
    # An ABI is listed or its programs die. Our profiles list x32 (x86_64 with bit 30 in the
    # number) as the engines' do: a call gets the verdict it has on x86_64, so x32 is no way
    # around a rule, and a kernel without it answers ENOSYS to what a filter allows.
    native, *others = abis_of(machine)
    abis = (native, *(abi for abi in others if abi in profile.abis))
    return bpf.in_order(_programs(profile.default_action, rules, abis), _UNDECIDED)


def _resolve(name: str) -> int:
    """libseccomp's number on the running machine: below -1 where only others have the call."""
    return pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)


@functools.cache
def _is_young(name: str) -> bool:
    return _resolve(name) == _UNKNOWN


def _check_names(rule: Rule) -> None:
    """A call that neither libseccomp nor this file knows is a misspelling."""
    for name in filter(_is_young, rule.syscalls):
        if name not in SHARED and name not in ONE_MACHINE:
            raise Refusal(
                "MC0502",
                f'{rule.place}: unknown system call "{name}"',
                f"{libseccomp_version()} knows no such call on any architecture",
                f"Correct the name in {rule.place}.",
            )
        if rule.when:
            raise Refusal(
                "MC0503",
                f'{rule.place}: conditions on the young system call "{name}"',
                f"{libseccomp_version()} does not know it, and conditions need libseccomp",
                f'Give "{name}" a rule without conditions.',
            )


def _programs(default: int, rules: list[Rule], abis: tuple[str, ...]) -> list[bytes]:
    """The programs in the order in which they are asked; those without a rule are left out."""
    refusals = [r for r in rules if r.when and r.action not in _PERMITTING]
    permissions = [r for r in rules if r.when and r.action in _PERMITTING]
    # A refusal which libseccomp would widen to every socketcall(2) leaves 32-bit x86 out.
    stages = [
        ([_only(r, _is_multiplexed) for r in refusals], tuple(a for a in abis if a != "x86")),
        ([_without(r, _is_multiplexed) for r in refusals], abis),
        (permissions, abis),
    ]
    programs = [
        _program(_UNDECIDED, _UNDECIDED, layer, over)
        for stage, over in stages
        for layer in layers(stage)
        if any(rule.syscalls for rule in layer)
    ]
    general = [r for r in rules if not r.when]
    programs += _young_programs(general, abis)
    known = [_without(r, _is_young) for r in general if r.action != default]
    # An ABI the profile does not speak for (32-bit programs where it lists none): the numbers
    # mean other calls there, so no answer is safe but death. Of the process, not of the thread
    # as libseccomp would have it: a program that lost one thread hangs, and nobody sees why.
    return [*programs, _program(default, bpf.SECCOMP_RET_KILL_PROCESS, known, abis)]


def _young_programs(rules: list[Rule], abis: tuple[str, ...]) -> list[bytes]:
    """Calls that libseccomp does not know: those with a shared number, those of this machine."""
    shared, own = {}, {}
    for rule in reversed(rules):  # of two verdicts the first one holds, as with libseccomp
        for name in filter(_is_young, rule.syscalls):
            if name in SHARED:
                shared[SHARED[name]] = rule.action
            elif abis[0] in ONE_MACHINE[name]:
                own[ONE_MACHINE[name][abis[0]]] = rule.action
    programs = [(abis, shared), (abis[:1], own)]
    return [bpf.by_number(over, actions, _UNDECIDED) for over, actions in programs if actions]


def _is_multiplexed(name: str) -> bool:
    return pyseccomp.resolve_syscall(pyseccomp.Arch.X86, name) in _MULTIPLEXED


def _only(rule: Rule, which: Callable[[str], bool]) -> Rule:
    return rule.replace(syscalls=tuple(name for name in rule.syscalls if which(name)))


def _without(rule: Rule, which: Callable[[str], bool]) -> Rule:
    return rule.replace(syscalls=tuple(name for name in rule.syscalls if not which(name)))


def _program(default: int, bad_arch: int, rules: list[Rule], abis: tuple[str, ...]) -> bytes:
    program = pyseccomp.SyscallFilter(default)
    native = pyseccomp.system_arch()
    wanted = [_ARCH[abi] for abi in abis]
    for arch in sorted({*wanted} - {native}):
        program.add_arch(arch)
    if native not in wanted:
        program.remove_arch(native)
    program.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, _TREE)
    program.set_attr(pyseccomp.Attr.ACT_BADARCH, bad_arch)
    for rule in rules:
        _add(program, rule)
    return bpf.exported(program.export_bpf)


def _add(program: pyseccomp.SyscallFilter, rule: Rule) -> None:
    for name in rule.syscalls:
        for comparisons in rule.when or ((),):
            arguments = [_argument(comparison) for comparison in comparisons]
            try:
                program.add_rule(rule.action, _resolve(name), *arguments)
            except OSError as error:
                raise _refused(rule, name, error) from None


def _argument(comparison: Comparison) -> pyseccomp.Arg:
    if comparison.mask != 2**64 - 1:
        return pyseccomp.Arg(
            comparison.argument, pyseccomp.MASKED_EQ, comparison.mask, comparison.value
        )
    return pyseccomp.Arg(comparison.argument, _OPERATORS[comparison.operator], comparison.value)


def _refused(rule: Rule, name: str, error: OSError) -> Refusal:
    return Refusal(
        "MC0503",
        f'{rule.place}: libseccomp does not take the rule for "{name}"',
        f"seccomp_rule_add(3): {error.strerror}",
        f"Correct the conditions in {rule.place}: one comparison for each argument.",
    )


def _check_length(profile: Profile, program: bytes) -> None:
    length = len(program) // 8
    if length > bpf.BPF_MAXINSNS:
        raise Refusal(
            "MC0503",
            f"The seccomp profile {profile.path} is too long",
            f"{length} BPF instructions; the kernel takes {bpf.BPF_MAXINSNS} (seccomp(2), EINVAL)",
            "Remove conditions on arguments, or architectures.",
        )


def _check_needed(profile: Profile, program: bytes, native: str) -> None:
    """Ask the filter before it is loaded: afterwards the launcher could not even say why."""
    for name, arguments, purpose in NEEDED:
        number = pyseccomp.resolve_syscall(_ARCH[native], name)
        answer = bpf.verdict(program, bpf.AUDIT_ARCH[native], number, arguments)
        if answer not in _PERMITTING:
            raise Refusal(
                "MC0504",
                f"The seccomp profile {profile.path} refuses {name}, which minictr needs {purpose}",
                f"{name} gets {action_name(answer)}",
                f"Allow {name} in {profile.path}.",
            )


def action_name(action: int) -> str:
    """A SECCOMP_RET_ value in the words of our TOML: "errno EPERM"."""
    names = {
        bpf.SECCOMP_RET_ALLOW: "allow",
        bpf.SECCOMP_RET_LOG: "log",
        bpf.SECCOMP_RET_TRAP: "trap",
        bpf.SECCOMP_RET_KILL_PROCESS: "kill",
        bpf.SECCOMP_RET_KILL_THREAD: "kill_thread",
    }
    if action in names:
        return names[action]
    return f"errno {errno.errorcode.get(action & 0xFFFF, str(action & 0xFFFF))}"


def libseccomp_version() -> str:
    """The file that is mapped, "libseccomp.so.2.5.4": pyseccomp has no call for the version."""
    with open("/proc/self/maps") as maps:
        names = {line.rpartition("/")[2].strip() for line in maps if "/libseccomp.so" in line}
    return " ".join(sorted(names)) or "libseccomp"
