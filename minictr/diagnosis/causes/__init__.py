"""The causes, one function each; importing this package enters them into the catalogue."""

from importlib import import_module

# In the order in which the kernel meets them: of two causes that stop the same step the earlier
# one is reported.
MODULES = (
    "unready", "unpacking",
    "image", "cache", "memory_group", "confine", "confinement",
    "descriptors",
    "outer_filter", "sysctls", "limits", "used_up", "chroot", "root_cover", "unmapped",
    "pid_namespace",
    "fork", "sizes",
    "apparmor", "selinux",
    "real_ids", "subids", "helper_files", "helper_formats", "procfs", "callers", "sources",
    "helpers", "setuid", "file_capabilities", "capabilities", "maps", "loopback",
    "mounts", "apparmor_mounts", "landlock", "mount_table", "pivot", "file_size",
    "ways", "tree", "unplaced", "binds", "mountpoints", "blocked", "proc", "directory",
    "cache_cover", "asked",
    "execute", "paths", "executable", "denied", "noexec", "programs", "formats", "arguments",
    "libraries", "deaths", "memory",
)  # fmt: skip

for _name in MODULES:
    import_module(f"{__name__}.{_name}")
