"""What stops a launch before it begins: an image that cannot be opened, refused as it is read."""

from __future__ import annotations

from minictr.diagnosis.catalogue import UNKNOWN, refused
from minictr.diagnosis.stories import NOTHING, enter

_SIF = "github.com/apptainer/sif, pkg/sif"
_SQUASHFS = "the kernel's fs/squashfs/squashfs_fs.h"

# code: (title, story, reproduction, what the user does, what the administrator does, what it is
# not, sources). SIF is any image file; the reproductions patch one whose partition is the third
# object of the table.
_STORIES: dict[str, tuple[str, str, str, str, str, str, str]] = {
    "MC0101": (
        "the image's path leads nowhere",
        "The path, or a symbolic link on it, names nothing; or it has a form that no file's name "
        "has; or it is the address of an image that has to be fetched first. The report names the "
        "component at which the way ends.",
        'minictr exec "$DIRECTORY/nosuch.sif" true',
        "correct the path.",
        NOTHING,
        "the image: nothing has been read of it.",
        "path_resolution(7); open(2), ENOENT, ENOTDIR, ELOOP.",
    ),
    "MC0102": (
        "the image's path is closed to this user",
        "The image, or a directory on the way to it, does not give this user the right to read or "
        "to search. The report names it, with owner and mode.",
        'cp "$SIF" "$DIRECTORY/image.sif" && chmod 0000 "$DIRECTORY/image.sif"\n'
        'minictr exec "$DIRECTORY/image.sif" true',
        "chmod where the file is yours.",
        "give the right on what the report names, and on no more.",
        "user namespaces: the image is opened before there are any.",
        "path_resolution(7); open(2), EACCES.",
    ),
    "MC0103": (
        "the image's path is neither a file nor a directory, or changed while it was read",
        "A FIFO, a device or a socket cannot be an image, and opening one could block for ever. A "
        "file that changes while it is read is none either.",
        'mkfifo "$DIRECTORY/image.sif"\nminictr exec "$DIRECTORY/image.sif" true',
        "give an image's path; wait until nothing writes it.",
        NOTHING,
        "the image format: nothing has been read of it.",
        "open(2), O_NONBLOCK; inode(7).",
    ),
    "MC0104": (
        "the image is an empty file",
        "The file has no bytes: a download or a copy that never began, or a full disk.",
        ': >"$DIRECTORY/image.sif"\nminictr exec "$DIRECTORY/image.sif" true',
        "download or copy the image again.",
        NOTHING,
        "the image format.",
        "stat(2), st_size.",
    ),
    "MC0105": (
        "the image is an HTML page",
        "A web server answered with a page, an error message or a form to log in, and the page was "
        "saved as the image.",
        "echo '<!DOCTYPE html><html>Not Found</html>' >\"$DIRECTORY/image.sif\"\n"
        'minictr exec "$DIRECTORY/image.sif" true',
        "download the image again; `head` shows what the server said.",
        NOTHING,
        "a damaged image.",
        "the HTML standard, 13.1.1, the DOCTYPE.",
    ),
    "MC0106": (
        "the image is a tar file",
        "docker-archive, OCI archive or plain tar: layers or a tree in an archive, which have to "
        "be converted or unpacked before anything in them can run.",
        'tar -cf "$DIRECTORY/image.sif" -C "$IMAGE" .\nminictr exec "$DIRECTORY/image.sif" true',
        "convert or unpack it; the report has the command.",
        NOTHING,
        "a damaged image.",
        "tar(5), POSIX ustar; the OCI image specification, image-layout.",
    ),
    "MC0107": (
        "the image holds an ext file system",
        "Only root may mount ext2, ext3 and ext4: they are not among the file systems that the "
        "kernel mounts for a user namespace.",
        'truncate -s 1M "$DIRECTORY/image.sif" && mkfs.ext3 -q "$DIRECTORY/image.sif"\n'
        'minictr exec "$DIRECTORY/image.sif" true',
        "copy the tree out with debugfs and run the directory.",
        NOTHING,
        "a missing capability: no capability in a user namespace allows it.",
        "user_namespaces(7), the list of file systems; FS_USERNS_MOUNT in fs/.",
    ),
    "MC0108": (
        "the image is encrypted",
        "The root file system is LUKS or gocryptfs; minictr has no key for it and asks for none.",
        'cp "$SIF" "$DIRECTORY/image.sif" && poke "$DIRECTORY/image.sif" 5467 "\\\\006"\n'
        'minictr exec "$DIRECTORY/image.sif" true',
        "use an image built without --encrypt.",
        NOTHING,
        "a damaged image.",
        _SIF + ", Fstype.",
    ),
    "MC0109": (
        "the image is an OCI-SIF",
        "SingularityCE 4 stores OCI blobs in a SIF, without a root file system.",
        'cp "$SIF" "$DIRECTORY/image.sif" && poke "$DIRECTORY/image.sif" 5266 "\\\\013"\n'
        'minictr exec "$DIRECTORY/image.sif" true',
        "pull or build the image again without --oci.",
        NOTHING,
        "a damaged image.",
        _SIF + ", DataOCIBlob.",
    ),
    "MC0110": (
        "the image was built for another machine",
        "The primary partition says for which architecture it was built, and neither this "
        "machine nor an emulator registered with the kernel runs its programs. The field in the "
        "SIF's own header is not asked: it may differ.",
        'cp "$SIF" "$DIRECTORY/image.sif" && poke "$DIRECTORY/image.sif" 5475 "10"\n'
        'minictr exec "$DIRECTORY/image.sif" true',
        "use an image for this machine.",
        "register an emulator with flag F in /proc/sys/fs/binfmt_misc (qemu-user-static).",
        "the kernel: nothing was executed yet.",
        _SIF + ", Arch; binfmt_misc, Documentation/admin-guide/binfmt-misc.rst.",
    ),
    "MC0111": (
        "the SIF has no primary partition",
        "A SIF can hold many objects; a launch needs the one partition that is marked as primary, "
        "and there is none.",
        'cp "$SIF" "$DIRECTORY/image.sif" && poke "$DIRECTORY/image.sif" 5471 "\\\\003"\n'
        'minictr exec "$DIRECTORY/image.sif" true',
        "build the image again.",
        NOTHING,
        "a truncated image: what is in the table is in the file.",
        _SIF + ", PartPrimSys.",
    ),
    "MC0112": (
        "the image is truncated",
        "A header or a table names bytes beyond the end of the file. The report says which.",
        'head -c 600000 "$SIF" >"$DIRECTORY/image.sif"\n'
        'minictr exec "$DIRECTORY/image.sif" true',
        "download or copy the image again.",
        NOTHING,
        "an unknown format, or squashfs, which others name.",
        _SIF + ", Header and Descriptor; " + _SQUASHFS + ".",
    ),
    "MC0113": (
        "a field of the SIF is damaged",
        "A field of the header or of a descriptor has a value that no writer gives it.",
        'cp "$SIF" "$DIRECTORY/image.sif" && poke "$DIRECTORY/image.sif" 42 "xx"\n'
        'minictr exec "$DIRECTORY/image.sif" true',
        "download or copy the image again.",
        NOTHING,
        "a truncated image: the file is long enough.",
        _SIF + ", Header and Descriptor.",
    ),
    "MC0114": (
        "the file is not an image",
        "The first bytes are those of something else, which the report names where it is known.",
        'echo text >"$DIRECTORY/image.sif"\nminictr exec "$DIRECTORY/image.sif" true',
        "give an image's path.",
        NOTHING,
        "the file's suffix, which nobody looks at.",
        _SIF + "; magic(5).",
    ),
    "MC0115": (
        "the superblock of the image's squashfs is damaged",
        "A field of the squashfs superblock has a value that cannot be.",
        'cp "$SIF" "$DIRECTORY/image.sif" && poke "$DIRECTORY/image.sif" 36864 "x"\n'
        'minictr exec "$DIRECTORY/image.sif" true',
        "download or copy the image again.",
        NOTHING,
        "a compressor that unsquashfs lacks.",
        _SQUASHFS + ", struct squashfs_super_block.",
    ),
    "MC0116": (
        "the image's squashfs names a compressor that does not exist",
        "squashfs 4.0 knows six compressors, numbered 1 to 6; the superblock has another number.",
        'cp "$SIF" "$DIRECTORY/image.sif" && poke "$DIRECTORY/image.sif" 36884 "\\\\011"\n'
        'minictr exec "$DIRECTORY/image.sif" true',
        "download or copy the image again.",
        NOTHING,
        "an old unsquashfs.",
        _SQUASHFS + ", *_COMPRESSION.",
    ),
    "MC0117": (
        "the image is of a format that minictr does not read, or of another version of one",
        "The SIF says that its primary partition is neither squashfs nor ext nor encrypted; or SIF "
        "or squashfs have another version than 01 and 4.0. Squashfs 3.1 and older, of before 2009, "
        "are read by no kernel of today either.",
        'cp "$SIF" "$DIRECTORY/image.sif" && poke "$DIRECTORY/image.sif" 5467 "\\\\004"\n'
        'minictr exec "$DIRECTORY/image.sif" true',
        "build the image again with a squashfs root file system.",
        NOTHING,
        "a damaged image.",
        _SIF + ", Fstype.",
    ),
}  # fmt: skip


refused(
    UNKNOWN,
    "the cause is not known: nothing that minictr looks for was found",
    """
    A step failed, and no cause in the catalogue could be proved. The report says which step and
    which call it was, with arguments and errno; which causes were ruled out, and by which fact; and
    what could not be looked at. None of it is a guess: an honest "not known" costs less than a
    wrong cause.

    Reproduction (an ordinary user; filtered is in tests/lab/tools):

        filtered --refuse sethostname --errno EINVAL -- \\
            minictr exec --hostname inside "$IMAGE" true

    Fix, user: look at the step's call and errno with its manual page; strace -f shows what came
    before. A report to minictr's authors with the whole text is welcome.

    Fix, administrator: the same.

    Not the cause: whatever is listed as ruled out.

    Sources: the manual page of the call, section ERRORS.
    """,
)
enter(_STORIES)
