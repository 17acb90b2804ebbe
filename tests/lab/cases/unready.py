"""Faults that keep minictr from beginning."""

from __future__ import annotations

from lab.bench import Case

PLAIN = 'minictr exec "$IMAGE" true'
AS_USER = f'runuser -u "$USER" -- {PLAIN}'

CASES = [
    Case(
        "MC0129",
        proof=("/proc/self/environ) = ENOENT", "lstat(/proc/self) = ENOENT"),
        fix=("mount -t proc proc /proc",),
        repaired=f"""unshare -Urmpf sh -c 'mount -t tmpfs none /proc
            sh -c "$ADMINISTRATOR_FIX" && {PLAIN}'""",
        near=f"unshare -Urmpf sh -c 'mount -t proc -o hidepid=2 proc /proc; {PLAIN}'",
    ),
    Case(
        "MC0129",
        name="foreign",
        script=f"unshare -Urm sh -c 'unshare -pf mount -t proc proc /proc; {PLAIN}'",
        proof=("readlink(/proc/self) = ENOENT, and the link is there",),
        fix=("unshare --pid --fork --mount-proc minictr exec {image} true",),
        repaired="unshare -Urm sh -c 'unshare -pf mount -t proc proc /proc; sh -c \"$USER_FIX\"'",
        near=f"unshare -Urm unshare -pf sh -c 'mount -t proc proc /proc; {PLAIN}'",
    ),
    Case(
        "MC0129",
        name="root-of-a-user-namespace",
        script=f"unshare -Urm sh -c 'mount -t tmpfs none /proc; {PLAIN}'",
        proof=("lstat(/proc/self) = ENOENT",),
        fix=("unshare --pid --fork --mount-proc minictr exec {image} true",),
        repaired="unshare -Urm sh -c 'mount -t tmpfs none /proc; sh -c \"$USER_FIX\"'",
        near=f"unshare -Urm sh -c 'mount -t tmpfs none /sys; {PLAIN}'",
    ),
    Case(
        "MC0802",
        proof=("open(/dev/null, O_RDWR) = ENOENT",),
        fix=("mknod -m 666 /dev/null c 1 3",),
        repaired=f'changeable-dev && rm /dev/null && sh -c "$ADMINISTRATOR_FIX" && {AS_USER}',
        near=f"{AS_USER} <&- >&-",
    ),
    Case(
        "MC0802",
        as_root=True,
        name="file",
        prepare="changeable-dev; rm /dev/null; echo words >/dev/null",
        script=AS_USER,
        proof=("O_RDWR) = EACCES", "a regular file, mode 0644, uid 0; the null device is 1:3"),
        fix=("rm /dev/null && mknod -m 666 /dev/null c 1 3",),
        repaired=f'sh -c "$ADMINISTRATOR_FIX" && {AS_USER}',
        near=f"chmod 666 /dev/null; {AS_USER}",
    ),
    Case(
        "MC0802",
        as_root=True,
        name="directory",
        prepare="changeable-dev; rm /dev/null; mkdir /dev/null",
        script=AS_USER,
        proof=("O_RDWR) = EISDIR", "a directory, mode 0755, uid 0"),
        fix=("mv /dev/null /dev/null.old && mknod -m 666 /dev/null c 1 3",),
        repaired=f'sh -c "$ADMINISTRATOR_FIX" && {AS_USER}',
        near=f"rmdir /dev/null; mknod -m 666 /dev/null c 1 3; {AS_USER}",
    ),
    Case(
        "MC0802",
        as_root=True,
        name="covered",
        script=f"""touch "$DIRECTORY/other"; mount --bind "$DIRECTORY/other" /dev/null
            {AS_USER}""",
        proof=("O_RDWR) = EACCES", "a regular file, mode 0644"),
        fix=("umount /dev/null",),
        repaired=f"""touch "$DIRECTORY/other"; mount --bind "$DIRECTORY/other" /dev/null
            sh -c "$ADMINISTRATOR_FIX" && {AS_USER}""",
        near=f"mount --bind /dev/null /dev/null; {AS_USER}",
    ),
    Case(
        "MC0802",
        as_root=True,
        name="mode",
        prepare="changeable-dev; chmod 600 /dev/null",
        script=AS_USER,
        proof=("O_RDWR) = EACCES", "mode 0600"),
        fix=("chmod 666 /dev/null",),
        repaired=f'sh -c "$ADMINISTRATOR_FIX" && {AS_USER}',
        near=f"chmod 606 /dev/null; {AS_USER}",
    ),
    Case(
        "MC0802",
        as_root=True,
        name="nodev",
        prepare="mount --bind /dev/null /dev/null",
        script=f"mount -o remount,bind,nodev /dev/null; {AS_USER}",
        proof=("O_RDWR) = EACCES", "statvfs(/dev/null) has ST_NODEV"),
        fix=("mount -o remount,bind,dev /dev/null",),
        repaired=f'mount -o remount,bind,nodev /dev/null; sh -c "$ADMINISTRATOR_FIX" && {AS_USER}',
        near=f"mount -o remount,bind,noexec /dev/null; {AS_USER}",
    ),
]
