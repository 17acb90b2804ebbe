"""The causes, one function each; importing one of the modules enters its own into the catalogue."""

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
    "real_ids", "user_database", "subids", "helper_files", "helper_formats", "procfs", "callers",
    "sources", "helpers", "setuid", "file_capabilities", "capabilities", "maps", "loopback",
    "mounts", "apparmor_mounts", "landlock", "mount_table", "pivot", "file_size",
    "ways", "tree", "unplaced", "binds", "mountpoints", "blocked", "proc", "directory",
    "cache_cover", "asked", "fragments", "unprivileged",
    "damaged_file",
    "execute", "paths", "executable", "denied", "noexec", "programs", "formats", "arguments",
    "libraries", "deaths", "cut_short", "memory",
)  # fmt: skip

# Step -> the modules that have causes which stop it: a report loads these and no others.
STOPPING = {
    "Bind": "ways unplaced binds mountpoints blocked mounts apparmor_mounts mount_table"
    " unprivileged",
    "BindFile": "mounts apparmor_mounts mount_table",
    "BindRoot": "mounts apparmor_mounts mount_table ways tree",
    "BindTree": "descriptors mounts apparmor_mounts mount_table ways tree",
    "ChangeDirectory": "ways directory",
    "CloseDescriptors": "confinement",
    "CoverCache": "mounts apparmor_mounts mount_table ways cache_cover",
    "CreateNamespaces": "confinement descriptors outer_filter sysctls limits used_up chroot"
    " root_cover unmapped pid_namespace fork sizes apparmor selinux unprivileged",
    "DropBoundingSet": "confinement fork",
    "DropCapabilities": "confinement fork",
    "EvaluateEnvironment": "descriptors fork sizes fragments",
    "Execute": "descriptors fork damaged_file execute paths executable denied noexec programs"
    " formats arguments",
    "LoadFilter": "confinement",
    "MakeFiles": "descriptors sizes mounts file_size",
    "MakeSkeleton": "descriptors mounts ways",
    "MapIds": "descriptors fork sizes apparmor selinux real_ids user_database subids helper_files"
    " helper_formats procfs callers sources helpers setuid file_capabilities capabilities maps",
    "MountEmpty": "mounts apparmor_mounts mount_table ways mountpoints blocked unprivileged",
    "MountMinimalDev": "descriptors mounts apparmor_mounts mount_table unprivileged",
    "MountOverlay": "mounts apparmor_mounts mount_table ways tree unprivileged",
    "MountProc": "mounts apparmor_mounts mount_table proc unprivileged",
    "MountStaging": "apparmor selinux maps mounts apparmor_mounts landlock mount_table pivot"
    " unprivileged",
    "PivotRoot": "mounts apparmor_mounts unprivileged",
    "ProtectProc": "mounts apparmor_mounts mount_table",
    "RaiseLoopback": "descriptors apparmor loopback",
    "RunPayload": "damaged_file libraries deaths cut_short memory",
    "SetHostname": "apparmor mounts unprivileged",
    "SetNoNewPrivileges": "confinement fork",
    "TakeTerminal": "confinement",
    # Calls of other programs, which no step of ours makes: `minictr why`.
    "chroot": "unprivileged",
    "mount": "unprivileged",
    "setns": "unprivileged",
}
