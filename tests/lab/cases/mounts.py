"""Faults of the mounts themselves: a filter, a sandbox, a full table, a covered /proc."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import FIX_AS_USER

PLAIN = 'minictr exec "$IMAGE" true'
MOUNT_POINTS = """mkdir "$IMAGE/dev" "$IMAGE/proc" "$IMAGE/sys" "$IMAGE/etc"
    touch "$IMAGE/etc/passwd" "$IMAGE/etc/group" "$IMAGE/etc/resolv.conf" """
WHOLE = "--no-home --no-mount home,cwd,tmp,bind-paths"
# Mounts that double again and again, below a directory of which few are counted anywhere else.
DOUBLED = """mount -t tmpfs none "$DIRECTORY"
    until [ "$full" ]; do
        i=$((i + 1)); mkdir "$DIRECTORY/$i"
        mount --rbind "$DIRECTORY" "$DIRECTORY/$i" 2>/dev/null || full=yes
    done"""
HALVES = '"$DIRECTORY/$((i - 1))" "$DIRECTORY/$((i - 2))"'
LAUNCH = 'runuser -u "$USER" -- minictr exec "$IMAGE" true'
BIND = 'minictr exec --bind "$DIRECTORY" "$IMAGE" true'
BIND_ELSEWHERE = 'minictr exec --bind "$DIRECTORY:/data:ro" "$IMAGE" true'
WITHOUT_SETATTR = "filtered --refuse mount_setattr --errno ENOSYS --"

CASES = [
    Case(
        "MC0406",
        proof=("refuses mount(2)", "is answered with EPERM", "Seccomp 2", "has 0"),
        fix=("Start minictr from ", "that process has not got the filter", "allows mount"),
        repaired=PLAIN,
        near=f"filtered --refuse setns,sethostname -- {PLAIN}",
    ),
    Case(
        "MC0406",
        name="ended",
        script=f"filtered --refuse mount --errno KILL -- {PLAIN}",
        proof=("ends what calls mount(2)", "with signal 31 (SIGSYS)"),
        repaired=PLAIN,
        # Ended as well, by a call that no step of ours is known to make.
        near=f"filtered --refuse chdir --errno KILL -- {PLAIN}",
        instead="MC0000",
    ),
    Case(
        "MC0406",
        name="binds",
        script=f"filtered --refuse mount:bind --errno EACCES -- {PLAIN}",
        proof=("refuses mount(2) with the flags 0x5000", "is answered with EACCES"),
        repaired=PLAIN,
        # A bind that the kernel refuses, beside a filter.
        near='filtered --refuse setns -- minictr exec --bind /nosuch "$IMAGE" true',
        instead="MC0401",
    ),
    Case(
        "MC0406",
        name="pivot-root",
        script=f"filtered --refuse pivot_root,umount2 --errno ENOSYS -- {PLAIN}",
        proof=("refuses pivot_root(2)", "answered by no kernel either: umount2(2)"),
        fix=("allows pivot_root, umount2",),
        repaired=PLAIN,
        near=f"filtered --refuse pivot_root --errno EFAULT -- {PLAIN}",
        instead="MC0000",
    ),
    Case(
        "MC0406",
        name="pretended",
        script=f"filtered --refuse pivot_root --errno 0 -- {PLAIN}",
        proof=("only pretends to carry out pivot_root(2)", "is answered with success"),
        repaired=PLAIN,
        near=f"filtered --refuse setns --errno 0 -- {PLAIN}",
    ),
    Case(
        "MC0406",
        name="umount",
        script=f"filtered --refuse umount2 -- {PLAIN}",
        proof=("refuses umount2(2)",),
        repaired=PLAIN,
        near=f"filtered --refuse setns -- {PLAIN}",
    ),
    Case(
        "MC0406",
        name="setattr",
        prepare=MOUNT_POINTS,
        script=f'{WITHOUT_SETATTR} minictr exec {WHOLE} "$IMAGE" true',
        proof=("refuses mount_setattr(2)", "is answered with ENOSYS"),
        fix=("minictr exec --writable-tmpfs ", "allows mount_setattr"),
        repaired=f'{WITHOUT_SETATTR} sh -c "$USER_FIX"',
        near=f"filtered --refuse setns --errno ENOSYS -- {PLAIN}",
    ),
    Case(
        "MC0407",
        proof=("refuses sethostname(2)", "is answered with EPERM"),
        fix=("minictr exec {image} true", "allows sethostname"),
        repaired='filtered --refuse sethostname -- sh -c "$USER_FIX"',
        near='filtered --refuse setns -- minictr exec --hostname inside "$IMAGE" true',
    ),
    Case(
        "MC0407",
        name="ended",
        script="filtered --refuse sethostname --errno KILL -- "
        'minictr exec --hostname inside "$IMAGE" true',
        proof=("ends what calls sethostname(2)",),
        repaired='filtered --refuse sethostname --errno KILL -- sh -c "$USER_FIX"',
        near=f"filtered --refuse sethostname --errno KILL -- {PLAIN}",
    ),
    Case(
        "MC0408",
        proof=("one domain", "could enter 15 more", "move_mount(2) gives EPERM", "NoNewPrivs 0"),
        fix=("Start minictr from sh (pid ", "is not in the sandbox"),
        repaired=PLAIN,
        # A domain that handles no access to files.
        near=f"landlocked --network -- {PLAIN}",
    ),
    Case(
        "MC0408",
        name="full",
        script=f"landlocked --network -- landlocked --layers 15 -- sh -c '{PLAIN}; exit \"$?\"'",
        proof=("16 domains, one in another", "could enter 0 more"),
        fix=(", not through sh (pid ",),
        repaired=PLAIN,
        # In a domain, and a filter refuses the same with the same errno.
        near=f"landlocked --network -- filtered --refuse mount -- {PLAIN}",
        instead="MC0406",
    ),
    Case(
        "MC0408",
        name="filter",
        script=f"landlocked -- filtered --refuse pivot_root -- {PLAIN}",
        proof=("one domain", "mount(2) gives EPERM, move_mount(2) gives EPERM"),
        repaired=PLAIN,
        # The layers cannot be counted, so that another module could refuse as well.
        near=f"landlocked -- filtered --refuse landlock_restrict_self -- {PLAIN}",
        instead="MC0000",
    ),
    Case(
        "MC0409",
        proof=("and fs.mount-max is ", "mounts at or below {directory}"),
        fix=("umount -l {directory}", "sysctl -w fs.mount-max="),
        repaired=f"""unshare -Urm sh -ec '{DOUBLED}
            eval "$USER_FIX"; {BIND}'""",
        near=f"unshare -Urm sh -c '{DOUBLED}; umount -l {HALVES}; {BIND}'",
    ),
    Case(
        "MC0409",
        name="read-only",
        script=f"unshare -Urm sh -c '{DOUBLED}; {BIND_ELSEWHERE}'",
        proof=("and fs.mount-max is ",),
        repaired=f"unshare -Urm sh -ec '{DOUBLED}; eval \"$USER_FIX\"; {BIND}'",
        # The same errno, and the kernel was not asked.
        near=f"filtered --refuse mount:bind --errno ENOSPC -- {PLAIN}",
        instead="MC0406",
    ),
    Case(
        "MC0404",
        name="old-calls",
        script="""unshare -Urm sh -c 'mount --bind /dev/null /proc/uptime
            filtered --refuse fsopen -- minictr exec "$IMAGE" true'""",
        proof=("mount(2) of proc gives EPERM, and of tmpfs", "/proc/uptime"),
        fix=("minictr exec --no-pid ", "Start minictr from sh (pid ", "umount /proc/uptime"),
        repaired="""unshare -Urm sh -ec 'mount --bind /dev/null /proc/uptime
            filtered --refuse fsopen -- sh -ec "$USER_FIX"; eval "$ADMINISTRATOR_FIX"
            filtered --refuse fsopen -- minictr exec "$IMAGE" true'""",
        near=f"unshare -Urm filtered --refuse fsopen --errno ENOSYS -- {PLAIN}",
    ),
    Case(
        "MC0404",
        name="namespace",
        script=f"mount --bind /dev/null /proc/uptime; {LAUNCH}",
        as_root=True,
        proof=("/proc/uptime",),
        fix=("umount /proc/uptime", "the mount namespace of ", "nsenter --mount=/proc/"),
        repaired=f"""mount --bind /dev/null /proc/uptime
            {FIX_AS_USER} && sh -ec "$ADMINISTRATOR_FIX" && {LAUNCH}""",
        near=f"mount --bind /dev/null /sys/kernel/notes; {LAUNCH}",
    ),
    Case(
        "MC0410",
        proof=("mounted noatime", "VFS: Mount too revealing", " /proc rw,noatime"),
        fix=("minictr exec --no-pid ", "remount,bind,atime,diratime,relatime /proc"),
        repaired=f"""mount -o remount,bind,noatime /proc
            {FIX_AS_USER} && sh -ec "$ADMINISTRATOR_FIX" && {LAUNCH}""",
        # Other flags are locked as well, and do no harm.
        near=f"mount -o remount,bind,nosuid,nodev,noexec /proc; {LAUNCH}",
    ),
    Case(
        "MC0410",
        name="nodiratime",
        script=f"mount -o remount,bind,nodiratime /proc; {LAUNCH}",
        as_root=True,
        proof=("mounted nodiratime",),
        repaired=f"""mount -o remount,bind,nodiratime /proc
            sh -ec "$ADMINISTRATOR_FIX" && {LAUNCH}""",
        # A second proc of the caller's, which is as a new one would be.
        near=f"""mount -t proc proc "$CHROOT"; mount -o remount,bind,noatime /proc
            {LAUNCH}""",
    ),
    Case(
        "MC0410",
        name="strictatime",
        script=f"mount -o remount,bind,strictatime /proc; {LAUNCH}",
        as_root=True,
        proof=("mounted strictatime",),
        repaired=f"""mount -o remount,bind,strictatime /proc
            sh -ec "$ADMINISTRATOR_FIX" && {LAUNCH}""",
        near=f"mount --bind /dev/null /proc/uptime; {LAUNCH}",
        instead="MC0404",
    ),
    Case(  # The old proc is covered by the new one, and what covers a part of it counts no more.
        "MC0410",
        name="on-top",
        script=f"""mount --bind /dev/null /proc/uptime
            mount -t proc -o noatime proc /proc; {LAUNCH}""",
        as_root=True,
        proof=("mounted noatime", " /proc rw,noatime"),
        repaired=f"""mount --bind /dev/null /proc/uptime
            mount -t proc -o noatime proc /proc; sh -ec "$ADMINISTRATOR_FIX" && {LAUNCH}""",
        near=f"mount -t proc -o noatime proc /proc; mount -t proc proc /proc; {LAUNCH}",
    ),
    Case(
        "MC0411",
        proof=("a tmpfs is mounted on /", " / / rw"),
        fix=("&& umount -l /",),
        repaired=f"""unshare -Urm sh -ec 'mount -t tmpfs none /
            eval "$ADMINISTRATOR_FIX"; {PLAIN}'""",
        # The same mount, and the caller goes onto it.
        near=f"""unshare -Urm sh -c 'mount --rbind / /mnt; mount --move /mnt / 2>/dev/null || :
            chroot /.. {PLAIN}'""",
    ),
    Case(
        "MC0411",
        name="moved",
        script=f"""unshare -Urm sh -c 'mount --rbind / /mnt; mount --move /mnt / 2>/dev/null || :
            {PLAIN}'""",
        proof=("is mounted on /, and the caller's root is the directory below",),
        fix=("nsenter --mount=/proc/self/ns/mnt minictr exec ",),
        repaired="""unshare -Urm sh -ec 'mount --rbind / /mnt; mount --move /mnt / 2>/dev/null || :
            eval "$ADMINISTRATOR_FIX"'""",
        # The same errno, because the caller's uid has no number in its namespace.
        near=f"unshare -U {PLAIN}",
        instead="MC0208",
    ),
    Case(
        "MC0412",
        proof=("no file may have more than 0 bytes", "soft 0 bytes, hard "),
        fix=("prlimit --fsize=unlimited: minictr exec ", "whose limit is unlimited"),
        repaired=f'{PLAIN}; (ulimit -S -f 0; eval "$USER_FIX")',
        near=f"{PLAIN}; (ulimit -S -f 8; {PLAIN})",
    ),
    Case(
        "MC0412",
        name="hard",
        script=f"{PLAIN}; (ulimit -f 0; {PLAIN})",
        proof=("soft 0 bytes, hard 0 bytes",),
        fix=("Start minictr from sh (pid ",),
        repaired=PLAIN,
        near=f"{PLAIN}; (ulimit -S -f 8; {PLAIN})",
    ),
    Case(
        "MC0413",
        proof=("the kernel's initial ", "are the same", "rootfs rootfs"),
        fix=("unshare --map-current-user --keep-caps --mount ", "switch_root(8)"),
        repaired='initial-root runuser -u "$USER" -- sh -c "$USER_FIX"',
        # The initial ramfs, left as switch_root does.
        near="""initial-root sh -c 'mount --rbind / /mnt && cd /mnt && mount --move . /
            exec chroot . runuser -u "$USER" -- minictr exec "$IMAGE" true'""",
    ),
    Case(
        "MC0413",
        name="filter",
        script='initial-root runuser -u "$USER" -- minictr exec "$IMAGE" true',
        as_root=True,
        proof=("the kernel's initial ",),
        repaired='initial-root runuser -u "$USER" -- sh -c "$USER_FIX"',
        near=f"filtered --refuse pivot_root --errno EINVAL -- {LAUNCH}",
        instead="MC0406",
    ),
]
