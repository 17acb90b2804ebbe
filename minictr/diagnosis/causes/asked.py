"""What stops a launch before it begins: a place inside that was asked for and cannot be had."""

from __future__ import annotations

from minictr.diagnosis.stories import NOTHING, Told, enter

_STORIES: dict[str, Told] = {
    "MC0439": (
        "a mount point is missing in an image that is run with --writable",
        "With --writable the image's directory itself is the container's root. minictr makes no "
        "mount points in it: what the payload did not make would stay there afterwards.",
        'minictr exec --writable --bind "$DIRECTORY:/data" "$IMAGE" true',
        "make the mount point in the image's directory; the report has the command.",
        NOTHING,
        "rights on the image.",
        "mount(2), ENOENT.",
    ),
    "MC0440": (
        "--writable was asked for, and the image is no directory",
        "An image file is unpacked into the cache, where later launches use the same tree, so it "
        "is never written to.",
        'minictr exec --writable "$SIF" true',
        "--writable-tmpfs, which writes to memory, or unpack the image into a directory.",
        NOTHING,
        "rights on the image file.",
        "docs/design.md.",
    ),
    "MC0441": (
        "--writable-tmpfs needs an overlay, and there is none",
        "The writable layer above the image is the upper layer of an overlay. Kernels before 5.11 "
        "have no overlayfs in user namespaces, and no kernel lays one over a tree in which "
        "something else is mounted: what that covers would show.",
        "unshare -Urm sh -c '\n"
        '  mkdir "$IMAGE/inner" && mount -t tmpfs none "$IMAGE/inner"\n'
        '  minictr exec --writable-tmpfs "$IMAGE" true\'',
        "leave --writable-tmpfs out; or unmount what the report names.",
        "a kernel from 5.11 on.",
        "fuse-overlayfs, which minictr does not use; a missing capability.",
        "fs/namespace.c, clone_private_mount and has_locked_children; fs/overlayfs/super.c, "
        "FS_USERNS_MOUNT.",
    ),
    "MC0442": (
        "a mount point leads to the root of the container",
        "In the image the target is a symbolic link which ends at /, or `..` in it lead there, and "
        "a bind there would cover all of the container.",
        'ln -s / "$IMAGE/data"\nminictr exec --bind "$DIRECTORY:/data" "$IMAGE" true',
        "choose another target.",
        NOTHING,
        "the source of the bind.",
        "symlink(7); path_resolution(7).",
    ),
    "MC0443": (
        "the directory of --workdir cannot be reached",
        "--workdir names a directory of the host for what the container writes to /tmp, /var/tmp "
        "and its home. It is not there, or this user may not come to it. minictr makes "
        "directories in it, and not the directory itself.",
        'minictr exec --contain --workdir "$DIRECTORY/work" "$IMAGE" true',
        "make the directory, or name another one.",
        NOTHING,
        "the container: nothing was started.",
        "stat(2); path_resolution(7).",
    ),
    "MC0444": (
        "a directory of the image cannot be listed",
        "Where no overlay can be had (something is mounted inside the image's directory, or the "
        "kernel is older than 5.11) the root is put together of a bind for each entry. For that "
        "the directories in which a mount point is missing are listed, and this user may only "
        "search one of them (x without r).",
        'chown root "$IMAGE" && chmod 0711 "$IMAGE"\n'
        'mkdir "$IMAGE/inner" && mount -t tmpfs none "$IMAGE/inner"\n'
        'runuser -u "$USER" -- minictr exec "$IMAGE" true',
        "have the owner give the right to read; or unmount what lies inside.",
        NOTHING,
        "the right to search, which is there.",
        "opendir(3), EACCES; inode(7).",
    ),
    "MC0445": (
        "a bind or mount that was asked for cannot be read",
        "--bind takes SOURCE[:TARGET[:ro]], several of them separated by commas; a colon or a "
        "comma in a path is written with a backslash before it. --mount takes "
        "type=bind,source=SOURCE,destination=TARGET[,ro]. Targets are absolute, and none is /.",
        'minictr exec --mount "type=tmpfs,destination=/data" "$IMAGE" true',
        "write it so.",
        NOTHING,
        "the files: nothing was looked at.",
        "minictr exec --help.",
    ),
    "MC0453": (
        "the command line, a variable or a configuration file is refused",
        "What is asked for is not supported, contradicts something else that is asked for, or "
        "cannot be read. Text says so in one line; this code is what --diagnosis json has for it.",
        'minictr exec --net "$IMAGE" true',
        "ask for something else; where there is one way, the report names it.",
        NOTHING,
        "the machine: nothing was tried.",
        "minictr exec --help.",
    ),
}

enter(_STORIES)
