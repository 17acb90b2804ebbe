"""What stops an image from being unpacked or built: programs, and what stands in the way."""

from __future__ import annotations

from minictr.diagnosis.stories import NOTHING, Told, enter

_STORIES: dict[str, Told] = {
    "MC0133": (
        "the directory is immutable or append-only",
        "A directory with the flag i of chattr(1) cannot be changed by anybody, its owner and root "
        "included, whatever its mode; with the flag a nothing in it can be removed or renamed.",
        'trap \'chattr -i "$DIRECTORY/cache"\' EXIT\n'
        'mkdir "$DIRECTORY/cache" && chown "$USER:" "$DIRECTORY/cache" && '
        'chattr +i "$DIRECTORY/cache"\n'
        'MINICTR_CACHEDIR="$DIRECTORY/cache" runuser -u "$USER" -- minictr exec "$SIF" true',
        "MINICTR_CACHEDIR in another directory.",
        "take the flag away: chattr -i.",
        "the directory's owner and mode, which allow it.",
        "chattr(1); ioctl_iflags(2); inode(7).",
    ),
    "MC0134": (
        "unsquashfs or mksquashfs is there and cannot run",
        "The first program of that name on PATH is not executable for this user, was built for "
        "another machine, lacks its interpreter or a shared library.",
        'foreign-elf /usr/bin/unsquashfs "$DIRECTORY/unsquashfs"\n'
        'PATH="$DIRECTORY:$PATH" minictr exec "$SIF" true',
        "take the broken one out of PATH.",
        "install the package squashfs-tools again.",
        "the image, of which nothing was read by it.",
        "execve(2), EACCES, ENOEXEC, ENOENT; ld.so(8); elf(5), e_machine.",
    ),
    "MC0135": (
        "a file of the tree cannot be read",
        "minictr build reads the whole tree, and a file or directory in it denies reading to this "
        "user. It is not left out: the image would not be the tree.",
        'echo secret >"$IMAGE/bin/secret" && chmod 0000 "$IMAGE/bin/secret"\n'
        'minictr build "$DIRECTORY/out.sif" "$IMAGE"',
        "chmod where the file is yours.",
        "let the user read what the report names, and no more.",
        "the output, which is written beside its final name.",
        "open(2), EACCES; mksquashfs(1), -exit-on-error.",
    ),
    "MC0136": (
        "something else stands where a directory or a file has to be",
        "A part of the path of the cache, or of an output, is a file, or a symbolic link to a "
        "directory that is gone or to itself, or a link on a mount with nosymfollow. A cache that "
        "is linked to a scratch disk loses its directory when that is cleaned. Within the cache a "
        "directory may have the name of a file.",
        'ln -s "$DIRECTORY/gone" "$DIRECTORY/cache"\n'
        'MINICTR_CACHEDIR="$DIRECTORY/cache" minictr exec "$SIF" true',
        "make the directory that the link leads to, or move the file away.",
        NOTHING,
        "rights: nothing was denied.",
        "mkdir(2), EEXIST, ENOTDIR, ELOOP; rename(2), EISDIR; path_resolution(7).",
    ),
    "MC0137": (
        "a path is longer than the file system or the kernel allows",
        "One component has more bytes than the file system takes (f_namemax: 255 on most, 143 on "
        "encrypted ones), or the whole path has more than 4095. Paths in an image count together "
        "with the cache's own.",
        'MINICTR_CACHEDIR="$DIRECTORY/$(printf %0300d 1)" minictr exec "$SIF" true',
        "MINICTR_CACHEDIR with a shorter path.",
        NOTHING,
        "the number of characters: bytes are counted.",
        "path_resolution(7), ENAMETOOLONG; statvfs(3), f_namemax; limits.h, PATH_MAX.",
    ),
    "MC0139": (
        "the directory of the output does not exist",
        "minictr build writes the image beside its final name, in a directory that is not there.",
        'minictr build "$DIRECTORY/gone/out.sif" "$IMAGE"',
        "make the directory.",
        NOTHING,
        "rights: nothing was denied.",
        "open(2), ENOENT.",
    ),
}  # fmt: skip

enter(_STORIES)
