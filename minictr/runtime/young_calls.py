"""Name the system calls that are younger than some libseccomp in use, with their numbers."""

from __future__ import annotations

# One number on every architecture: include/uapi/asm-generic/unistd.h. The libseccomp of Debian 12
# ends with the first six.
SHARED = {
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
}

# One number on one machine: uretprobe and uprobe in arch/x86/entry/syscalls/syscall_64.tbl. Calls
# of other architectures are known here so that a profile may name them.
ONE_MACHINE: dict[str, dict[str, int]] = {
    "uretprobe": {"x86_64": 335},
    "uprobe": {"x86_64": 336},
    "riscv_hwprobe": {},
}
