"""What is known to stop a launch and is not in the catalogue: it could not be made for real.

A cause is reported only where its probe was seen to name it for real, and not to name it where it
was absent. These end as MC0000, with the step, the call and the errno.
"""

from __future__ import annotations

# (the cause, why it could not be made)
NOT_SHOWN = (
    ("the kernel has no user namespaces (CONFIG_USER_NS=n)",
     "no distribution builds one; /proc/self/ns/user would be missing"),
    ("a thread of the launcher ended in the very moment of clone(2) (EINVAL)",
     "the launcher has one thread; not once in 300 attempts with one more"),
    ("a BPF program of the security module LSM_BPF refuses a call",
     "nothing tells an ordinary user which program did"),
    ("kernel.threads-max, fs.file-max or vm.overcommit_memory is at its limit",
     "they are of the whole machine, and nothing else on it would work"),
    ("RLIMIT_NPROC or kernel.pid_max of an outer namespace",
     "neither can be read from inside"),
    ("the kernel ends the launcher itself for want of memory",
     "nobody is left to say so; the shell says Killed"),
    ("a file system that the launch mounts is no part of the kernel (ENODEV)",
     "they are built in wherever we looked, and a filter can forge the errno"),
    ("the file system of the cache has no locks (ENOLCK)",
     "no network file system at hand is without them"),
    ("an NFS server maps root to nobody; an automounter does not answer",
     "no such server at hand"),
    ("unsquashfs lacks the image's compressor, or an option",
     "every build of it at hand has them all"),
    ("the program needs instructions that this processor lacks (SIGILL)",
     "the processors at hand have those of x86-64-v4"),
    ("the image's C library is older than the program asks (GLIBC_x.y not found)",
     "ld.so says so and ends with status 1, as any program may"),
    ("a filter loaded after minictr began refuses execve(2)",
     "nothing loads one into another process"),
    ("a block of the image's disk cannot be read (EIO)",
     "no such disk at hand; the report has the errno"),
)  # fmt: skip


def text() -> str:
    """The list as Markdown."""
    return "".join(f"- {cause}: {why}.\n" for cause, why in NOT_SHOWN)
