"""What stops a launch before it begins: an image that cannot be unpacked or kept in the cache."""

from __future__ import annotations

from minictr.diagnosis.stories import NOTHING, Told, enter

# root masks the unpacking program, and mounts the file systems, in a private mount namespace.
_STORIES: dict[str, Told] = {
    "MC0118": (
        "unsquashfs is missing",
        "An image file is unpacked once into the cache, by unsquashfs, which is not installed.",
        'hide unsquashfs\nrunuser -u "$USER" -- minictr exec "$SIF" true',
        "unpack the image elsewhere and run the directory.",
        "apt-get install squashfs-tools, or what the distribution calls that package.",
        "squashfuse, which serves an image at its first launch and leaves it packed.",
        "unsquashfs(1).",
    ),
    "MC0120": (
        "the image's root file system is damaged",
        "unsquashfs met data that does not decompress, or fewer files came out than the superblock "
        "counts. Nothing of it is kept in the cache. A big image is served at its first launch, "
        "and runs as far as it can be read: it is unpacked behind that launch, and the next says "
        "what was found.",
        'cp "$SIF" "$DIRECTORY/image.sif"\n'
        'dd if=/dev/zero of="$DIRECTORY/image.sif" bs=1 seek=500000 count=20000 conv=notrunc\n'
        'minictr exec "$DIRECTORY/image.sif" true',
        "download or copy the image again.",
        NOTHING,
        "a full disk, which has codes of its own.",
        "unsquashfs(1), EXIT STATUS.",
    ),
    "MC0121": (
        "no space is left on the disk",
        "The file system of the cache, or of the file that is being written, has no free block for "
        "this user.",
        'mount -t tmpfs -o size=600k,mode=0777 none "$DIRECTORY"\n'
        'MINICTR_CACHEDIR="$DIRECTORY/cache" runuser -u "$USER" -- minictr exec "$SIF" true',
        "minictr cache clean, or MINICTR_CACHEDIR on another file system.",
        "make room.",
        "inodes or a quota, which have codes of their own (MC0122, MC0144); ENOSPC from a "
        "namespace limit.",
        "write(2), ENOSPC; statvfs(3), f_bavail.",
    ),
    "MC0122": (
        "no inodes are left on the disk",
        "The file system has free blocks and no free inode: as many files as it can hold. The "
        "kernel's ENOSPC is the same as for a full disk.",
        'mount -t tmpfs -o nr_inodes=50,mode=0777 none "$DIRECTORY"\n'
        'MINICTR_CACHEDIR="$DIRECTORY/cache" runuser -u "$USER" -- minictr exec "$SIF" true',
        "minictr cache clean, or MINICTR_CACHEDIR on another file system.",
        "make the file system anew with more inodes.",
        "space: df shows enough of it, df -i does not.",
        "statvfs(3), f_favail.",
    ),
    "MC0124": (
        "the directory is not writable",
        "The cache directory, or the one that an image is written into, does not let this user "
        "make files.",
        'mkdir "$DIRECTORY/closed" && chmod 0555 "$DIRECTORY/closed"\n'
        'MINICTR_CACHEDIR="$DIRECTORY/closed/cache" minictr exec "$SIF" true',
        "MINICTR_CACHEDIR in a directory of yours.",
        NOTHING,
        "a read-only file system, which has a code of its own.",
        "mkdir(2), EACCES.",
    ),
    "MC0125": (
        "the file system is mounted read-only",
        "The cache directory, or the one that an image is written into, lies on a read-only mount.",
        'mount -t tmpfs -o ro none "$DIRECTORY"\n'
        'MINICTR_CACHEDIR="$DIRECTORY/cache" runuser -u "$USER" -- minictr exec "$SIF" true',
        "MINICTR_CACHEDIR on another file system.",
        "remount it writable.",
        "rights on the directory.",
        "mkdir(2), EROFS; statvfs(3), ST_RDONLY.",
    ),
    "MC0126": (
        "the cache directory is not private",
        "The directory belongs to another user, or others may write into it: what lies there would "
        "be run without being looked at again.",
        'mkdir -m 0777 "$DIRECTORY/cache"\n'
        'MINICTR_CACHEDIR="$DIRECTORY/cache" minictr exec "$SIF" true',
        "chmod, or MINICTR_CACHEDIR with a directory of your own.",
        NOTHING,
        "a directory that cannot be written, which has a code of its own.",
        "inode(7), \"The file type and mode\".",
    ),
    "MC0127": (
        "mksquashfs is missing",
        "minictr build writes the root file system by mksquashfs, which is not installed.",
        'hide mksquashfs\nrunuser -u "$USER" -- minictr build "$DIRECTORY/out.sif" "$IMAGE"',
        "run the directory itself: it needs no image file.",
        "apt-get install squashfs-tools, or what the distribution calls that package.",
        "unsquashfs, which is another program of the same package.",
        "mksquashfs(1).",
    ),
    "MC0140": (
        "squashfuse_ll is missing",
        "With --unpack never an image is not unpacked: squashfuse_ll serves it, which is not "
        "installed. Without the option it would be unpacked.",
        'hide squashfuse_ll\nrunuser -u "$USER" -- minictr exec --unpack never "$SIF" true',
        "leave --unpack never out, or install the package squashfuse.",
        "apt-get install squashfuse, or what the distribution calls that package.",
        "fusermount3, which is not needed; squashfuse without _ll, which serves an image where an "
        "old squashfuse_ll could not give its files to the caller.",
        "squashfuse_ll(1).",
    ),
    "MC0141": (
        "/dev/fuse cannot be opened",
        "With --unpack never squashfuse_ll serves the image through /dev/fuse, which is missing or "
        "closed to this user. Without the option the image would be unpacked.",
        'cp -a /dev/fuse "$DIRECTORY/fuse"\nchmod 0600 "$DIRECTORY/fuse"\n'
        'mount --bind "$DIRECTORY/fuse" /dev/fuse\n'
        'runuser -u "$USER" -- minictr exec --unpack never "$SIF" true',
        "leave --unpack never out.",
        "chmod 666 /dev/fuse, which is the mode that udev gives it; modprobe fuse.",
        "the setuid bit of fusermount3; user_allow_other in /etc/fuse.conf.",
        "fuse(4); systemd's rules.d/50-udev-default.rules, KERNEL==\"fuse\".",
    ),
    "MC0142": (
        "the image's unpacked tree in the cache was changed",
        "What the launch looked for was unpacked, and is not in the cache as it was: it was "
        "removed, closed or cut short since. A cleaner of old files does that, or a chmod of the "
        "directory above. The image itself is whole. What the launch did not look for is not "
        "reported: minictr cache verify lists every difference.",
        'export MINICTR_CACHEDIR="$DIRECTORY/cache"\n'
        'minictr exec "$SIF" true 2>"$DIRECTORY/first"\n'
        'rm "$DIRECTORY"/cache/trees/*/root/bin/busybox\n'
        'minictr exec "$SIF" true',
        "minictr cache clean with the name of the tree: the next launch unpacks it again.",
        "leave the caches out where old files are removed: tmpfiles.d(5), tmpreaper(8).",
        "the image, which has what is missing; PATH.",
        "lstat(2); inode(7); tmpfiles.d(5), Age.",
    ),
    "MC0143": (
        "the image closes to its owner what a launch has to read",
        "All of an unpacked image belongs to the caller, and the modes are the image's own. One of "
        "them denies even the owner to search a directory, or to read a file, that is looked at "
        "before the command is started: /, /bin/sh, /.singularity.d and what lies in it. As root, "
        "who reads it all the same, nobody notices that while the image is built.",
        'chmod 0 "$IMAGE/bin" && minictr build "$DIRECTORY/out.sif" "$IMAGE"\n'
        'runuser -u "$USER" -- minictr exec "$DIRECTORY/out.sif" true',
        "set the mode where the image is built; a launch does not change what is in an image.",
        NOTHING,
        "the cache, which is open; the image file's own mode.",
        "path_resolution(7); inode(7).",
    ),
    "MC0144": (
        "the disk quota is used up",
        "The file system has room, and takes no more of this user, of a group of his, or below "
        "this directory: each of them can have a limit of its own. The report has those of the "
        "user and his groups, which quotactl(2) tells him, and what is in use without what was "
        "being written. The limits of directories (subvolumes of btrfs, projects of ext4) only "
        "root may read, and those of a file server only that server.",
        'truncate -s 300M "$DIRECTORY/disk" && mkfs.btrfs -q "$DIRECTORY/disk"\n'
        'mkdir "$DIRECTORY/at" && mount -o loop "$DIRECTORY/disk" "$DIRECTORY/at"\n'
        'btrfs quota enable "$DIRECTORY/at" && btrfs qgroup limit 1M "$DIRECTORY/at"\n'
        'chmod 0777 "$DIRECTORY/at"\n'
        'MINICTR_CACHEDIR="$DIRECTORY/at/cache" runuser -u "$USER" -- minictr exec "$SIF" true',
        "minictr cache clean, or MINICTR_CACHEDIR on another file system.",
        "raise the limit: setquota(8), btrfs-qgroup(8).",
        "the disk: df shows space.",
        "write(2), EDQUOT; quotactl(2), Q_GETQUOTA; fs/quota/dquot.c, dquot_add_space; "
        "fs/btrfs/qgroup.c, qgroup_reserve.",
    ),
}  # fmt: skip

enter(_STORIES)
