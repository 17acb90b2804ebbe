"""Faults of the namespaces and of the id maps."""

from __future__ import annotations

from pathlib import Path

from lab.bench import Case

AS_USER = 'setpriv --reuid="$USER" --regid="$USER" --init-groups'
LAUNCH_AS_USER = f'{AS_USER} minictr exec "$IMAGE" true'
HELPERS = 'runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true'
BECOME = '--reuid="$USER" --regid="$USER" --init-groups'
MANY = 'minictr exec --id-map helpers "$IMAGE" true'
NETWORK = 'minictr exec --net --network none "$IMAGE" true'
# Both helpers as copies, whose mode and capabilities a case can change.
OWN_HELPERS = """for name in newuidmap newgidmap; do
    cp -p "/usr/bin/$name" "$DIRECTORY/$name"
    mount --bind "$DIRECTORY/$name" "/usr/bin/$name"
done"""
CAPABLE_HELPERS = f"""{OWN_HELPERS}
    chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap
    setcap cap_setuid+ep /usr/bin/newuidmap; setcap cap_setgid+ep /usr/bin/newgidmap"""
# A shadow built with libcap takes the caller's id back before it opens the map.
NEWUIDMAP = Path("/usr/bin/newuidmap")
STAYS_ROOT = NEWUIDMAP.exists() and b"Could not seteuid" not in NEWUIDMAP.read_bytes()
FIX_AS_USER = 'runuser -u "$USER" -- sh -c "$USER_FIX"'

NAMESPACES = [
    Case(
        "MC0201",
        proof=("user.max_user_namespaces is 0", "/proc/sys/user/max_user_namespaces reads 0"),
        fix=("sysctl -w user.max_user_namespaces=",),
        repaired="""unshare -Ur sh -ec 'echo 0 >/proc/sys/user/max_user_namespaces
            eval "$ADMINISTRATOR_FIX"; minictr exec "$IMAGE" true'""",
        # An outer namespace's limit gives the same errno; ours reads 2147483647.
        near="""unshare -Ur sh -c 'echo 1 >/proc/sys/user/max_user_namespaces
            unshare -Ur minictr exec "$IMAGE" true'""",
        instead="MC0000",
    ),
    Case(
        "MC0202",
        proof=("user.max_pid_namespaces is 0", "/proc/sys/user/max_pid_namespaces reads 0"),
        fix=("minictr exec --no-pid ", "sysctl -w user.max_pid_namespaces="),
        repaired="""unshare -Ur sh -ec 'echo 0 >/proc/sys/user/max_pid_namespaces
            eval "$USER_FIX"; eval "$ADMINISTRATOR_FIX"; minictr exec "$IMAGE" true'""",
        near="""unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces
            minictr exec "$IMAGE" true'""",
        instead="MC0201",
    ),
    Case(
        "MC0202",
        name="mnt",
        script="""unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_mnt_namespaces
            minictr exec "$IMAGE" true'""",
        proof=("user.max_mnt_namespaces is 0",),
        fix=("sysctl -w user.max_mnt_namespaces=",),
        repaired="""unshare -Ur sh -ec 'echo 0 >/proc/sys/user/max_mnt_namespaces
            eval "$ADMINISTRATOR_FIX"; minictr exec "$IMAGE" true'""",
        # The limit of a kind that the launch does not make.
        near="""unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_net_namespaces
            minictr exec "$IMAGE" true'""",
    ),
    Case(
        "MC0203",
        prepare='system-root "$CHROOT"',
        proof=(
            "minictr runs in a chroot at {chroot}",
            "statx(2) of / lacks STATX_ATTR_MOUNT_ROOT",
            "no line with the mount point /",
            "{chroot}/",
        ),
        fix=("pivot_root", "{chroot}"),
        repaired=f"""echo '{LAUNCH_AS_USER}' >"$DIRECTORY/go"
            sh -c "$ADMINISTRATOR_FIX" <"$DIRECTORY/go" """,
        # The same errno, because the caller's uid has no number in its namespace.
        near=f"""{AS_USER} unshare -U minictr exec "$IMAGE" true""",
        instead="MC0000",
    ),
    Case(
        "MC0203",
        name="mount",
        prepare='mount --bind "$CHROOT" "$CHROOT"; system-root "$CHROOT"',
        script=f'chroot "$CHROOT" {LAUNCH_AS_USER}',
        as_root=True,
        proof=("minictr runs in a chroot at {chroot}", "here at /, is at {chroot} in /proc/"),
        repaired=f"""echo '{LAUNCH_AS_USER}' >"$DIRECTORY/go"
            sh -c "$ADMINISTRATOR_FIX" <"$DIRECTORY/go" """,
        near=f"unshare -m {LAUNCH_AS_USER}",
    ),
    Case(
        "MC0204",
        proof=(
            "refuses clone(2) with CLONE_NEWUSER",
            "is answered with EPERM",
            "EINVAL for CLONE_NEWNS, CLONE_NEWPID",
            "Seccomp 2",
        ),
        fix=("Start minictr from ", "that process has not got the filter"),
        repaired='minictr exec "$IMAGE" true',
        # There is a filter, and the kernel refuses for another reason with the same errno.
        near='filtered --refuse setns -- unshare -U minictr exec "$IMAGE" true',
        instead="MC0000",
    ),
    Case(
        "MC0204",
        name="pid",
        script='filtered --refuse clone:pid --errno EACCES -- minictr exec "$IMAGE" true',
        proof=("refuses clone(2) with CLONE_NEWPID", "EACCES for CLONE_NEWPID"),
        fix=("minictr exec --no-pid ",),
        repaired='filtered --refuse clone:pid --errno EACCES -- sh -c "$USER_FIX"',
        near='filtered --refuse setns,clone:net -- minictr exec "$IMAGE" true',
    ),
]

MAPS = [
    Case(
        "MC0301",
        prepare="private-etc",
        proof=("/etc/subuid cannot be read by {user}", "EACCES", "mode 0600"),
        fix=("chmod 644 /etc/subuid", "minictr exec --id-map single "),
        repaired=f"""chmod 0600 /etc/subuid
            {FIX_AS_USER} && sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"rm /etc/subuid; {HELPERS}",
        instead="MC0303",
    ),
    Case(
        "MC0302",
        prepare="private-etc",
        proof=("line 1 of /etc/subuid is not NAME:FIRST:COUNT", "{user}:100000:65536\\r"),
        fix=("sed -i", "minictr exec --id-map single "),
        repaired=rf"""printf '%s:100000:65536\r\n' "$USER" >/etc/subuid
            {FIX_AS_USER} && sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=rf"printf 'other:100000:65536\r\n' >/etc/subuid; {HELPERS}",
        instead="MC0303",
    ),
    Case(
        "MC0303",
        prepare="private-etc",
        proof=("{user} has no entry in /etc/subuid", "no line that begins with {user} or {uid}"),
        fix=("usermod --add-subuids ", " {user}", "minictr exec --id-map single "),
        repaired=f"""sed -i "/^$USER:/d" /etc/subuid
            {FIX_AS_USER} && sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f'sed -i "s/^$USER:/$(id -u "$USER"):/" /etc/subuid; {HELPERS}',
    ),
    Case(
        "MC0303",
        name="both",
        prepare="private-etc",
        script=f'sed -i "/^$USER:/d" /etc/subuid /etc/subgid; {HELPERS}',
        proof=("{user} has no entry in /etc/subuid",),
        fix=("usermod --add-subuids ", " --add-subgids ", " {user}"),
        repaired=f"""sed -i "/^$USER:/d" /etc/subuid /etc/subgid
            sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=HELPERS,
    ),
    Case(
        "MC0304",
        prepare="private-etc",
        proof=("{user} has no entry in /etc/subgid",),
        fix=("usermod --add-subgids ", " {user}", "minictr exec --id-map single "),
        repaired=f"""sed -i "/^$USER:/d" /etc/subgid
            {FIX_AS_USER} && sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f'sed -i "/^$USER:/d" /etc/subuid; {HELPERS}',
        instead="MC0303",
    ),
    Case(
        "MC0305",
        proof=("newuidmap and newgidmap are not installed", "no newuidmap in /usr/bin, "),
        fix=("minictr exec --id-map single ",),
        # To unmount what hides them is what installing the package comes to.
        repaired=f"hide newuidmap newgidmap; {FIX_AS_USER} && umount -l /usr/bin && {HELPERS}",
        near='runuser -u "$USER" -- env PATH="${PATH%%:*}" minictr exec --id-map helpers '
        '"$IMAGE" true',
    ),
    Case(
        "MC0305",
        name="one",
        script=f"hide newgidmap; {HELPERS}",
        proof=("newgidmap is not installed",),
        repaired=f"hide newgidmap; {FIX_AS_USER}",
        near=f"hide getsubids; {HELPERS}",
    ),
    Case(
        "MC0306",
        proof=("/usr/bin/newuidmap lies on the mount /usr/bin/newuidmap, which is nosuid",),
        fix=("mount -o remount,bind,suid /usr/bin/newuidmap", "minictr exec --id-map single "),
        repaired=f"""mount --bind /usr/bin/newuidmap /usr/bin/newuidmap
            mount -o remount,bind,nosuid /usr/bin/newuidmap
            {FIX_AS_USER} && sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"mount --bind /usr/bin/newuidmap /usr/bin/newuidmap; {HELPERS}",
    ),
    Case(
        "MC0307",
        proof=("no_new_privs is set", "NoNewPrivs 1; ", "has NoNewPrivs 0", "newuidmap"),
        fix=("minictr exec --id-map single ", "Start minictr from "),
        repaired='setpriv --no-new-privs sh -c "$USER_FIX" && '
        'minictr exec --id-map helpers "$IMAGE" true',
        near='setpriv --no-new-privs minictr exec "$IMAGE" true',
    ),
    Case(
        "MC0308",
        proof=("/usr/bin/newuidmap is neither setuid nor has it CAP_SETUID", "mode 0755"),
        fix=("setcap cap_setuid+ep /usr/bin/newuidmap", "minictr exec --id-map single "),
        repaired=f"""install -m 0755 /usr/bin/newuidmap "$DIRECTORY/newuidmap"
            mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
            {FIX_AS_USER} && sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"""install -m 0755 /usr/bin/newuidmap "$DIRECTORY/newuidmap"
            setcap cap_setuid+ep "$DIRECTORY/newuidmap"
            mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap; {HELPERS}""",
    ),
    Case(
        "MC0308",
        name="gid",
        script=f"""install -m 0755 /usr/bin/newgidmap "$DIRECTORY/newgidmap"
            mount --bind "$DIRECTORY/newgidmap" /usr/bin/newgidmap; {HELPERS}""",
        proof=("/usr/bin/newgidmap is neither setuid nor has it CAP_SETGID",),
        fix=("setcap cap_setgid+ep /usr/bin/newgidmap",),
        repaired=f"""install -m 0755 /usr/bin/newgidmap "$DIRECTORY/newgidmap"
            mount --bind "$DIRECTORY/newgidmap" /usr/bin/newgidmap
            sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"""cp -p /usr/bin/newgidmap "$DIRECTORY/newgidmap"
            mount --bind "$DIRECTORY/newgidmap" /usr/bin/newgidmap; {HELPERS}""",
    ),
    Case(
        "MC0309",
        proof=(
            "the bounding set lacks CAP_SETUID, without which newuidmap cannot write the map",
            "prctl(PR_CAPBSET_READ, CAP_SETUID) is 0",
            "CapBnd ",
            "/usr/bin/newuidmap: owner 0",
        ),
        fix=("minictr exec --id-map single ", "which has CAP_SETUID", "Start the session with"),
        repaired=f"""setpriv --bounding-set=-setuid,-setgid {BECOME} sh -c "$USER_FIX" &&
            setpriv {BECOME} {MANY}""",
        # Less than everything, and all that is needed.
        near=f"setpriv --bounding-set=-net_admin,-sys_module {BECOME} {MANY}",
    ),
    Case(
        "MC0309",
        name="gid",
        script=f"setpriv --bounding-set=-setgid {BECOME} {MANY}",
        as_root=True,
        proof=("the bounding set lacks CAP_SETGID, without which newgidmap cannot",),
        repaired=f"""setpriv --bounding-set=-setgid {BECOME} sh -c "$USER_FIX" """,
        near=f"setpriv --bounding-set=-setgid {BECOME} {MANY.replace('helpers', 'single')}",
    ),
    Case(
        "MC0309",
        name="capable",
        prepare=CAPABLE_HELPERS,
        script=f"setpriv --bounding-set=-setuid {BECOME} {MANY}",
        as_root=True,
        proof=("the bounding set lacks CAP_SETUID", "file capability CAP_SETUID"),
        repaired=f"""setpriv --bounding-set=-setuid {BECOME} sh -c "$USER_FIX" """,
        near=f"setpriv --bounding-set=-dac_override,-sys_admin {BECOME} {MANY}",
    ),
    Case(
        "MC0310",
        prepare=OWN_HELPERS,
        proof=(
            "the securebit noroot is set",
            "prctl(PR_GET_SECUREBITS) has SECBIT_NOROOT",
            "/usr/bin/newuidmap has its privilege by the setuid bit alone: owner 0",
        ),
        fix=("minictr exec --id-map single ", "Start the session without noroot"),
        repaired=f"""setpriv --securebits=+noroot {BECOME} sh -c "$USER_FIX" &&
            setpriv {BECOME} {MANY} && sh -ec "$ADMINISTRATOR_FIX" &&
            setpriv --securebits=+noroot {BECOME} {MANY}""",
        # Another securebit, which changes nothing for a program that is setuid root.
        near=f"setpriv --securebits=+no_setuid_fixup {BECOME} {MANY}",
    ),
    Case(
        "MC0310",
        name="capable",
        script=f"{OWN_HELPERS}; setpriv --securebits=+noroot {BECOME} {MANY}",
        as_root=True,
        proof=("the securebit noroot is set",),
        repaired=f"""setpriv --securebits=+noroot {BECOME} sh -c "$USER_FIX" """,
        near=f"{CAPABLE_HELPERS}; setpriv --securebits=+noroot {BECOME} {MANY}",
    ),
]

if STAYS_ROOT:
    MAPS.append(
        Case(
            "MC0309",
            name="open",
            prepare=OWN_HELPERS,
            script=f"setpriv --bounding-set=-dac_override,-sys_admin {BECOME} {MANY}",
            as_root=True,
            proof=("the bounding set lacks CAP_DAC_OVERRIDE and CAP_SYS_ADMIN",),
            fix=("chmod u-s /usr/bin/newuidmap", "setcap cap_setgid+ep /usr/bin/newgidmap"),
            repaired=f"""sh -ec "$ADMINISTRATOR_FIX" &&
                setpriv --bounding-set=-dac_override,-sys_admin {BECOME} {MANY}""",
            near=f"""chmod u-s /usr/bin/newuidmap
                setpriv --bounding-set=-dac_override {BECOME} {MANY}""",
            instead="MC0308",
        )
    )

LOOPBACK = [
    Case(
        "MC0801",
        proof=(
            "a seccomp filter around minictr refuses ioctl(2) with SIOCSIFFLAGS",
            "ioctl(-1, SIOCSIFFLAGS), which the kernel always answers with EBADF, is answered with "
            "EPERM",
            "netlink raises lo in a new network namespace",
            "Seccomp 2",
        ),
        fix=("minictr exec {image} true", "Start minictr from ", "allows ioctl with SIOCSIFFLAGS"),
        repaired=f'filtered --refuse ioctl:SIOCSIFFLAGS -- sh -c "$USER_FIX" && {NETWORK}',
        # Netlink is refused as well: that there is no more than the filter is not proved.
        near=f"filtered --refuse ioctl:SIOCSIFFLAGS,socket:netlink -- {NETWORK}",
        instead="MC0000",
    ),
    Case(
        "MC0801",
        name="socket",
        script=f"filtered --refuse socket:inet --errno EACCES -- {NETWORK}",
        proof=(
            "refuses socket(2) with AF_INET",
            "socket(AF_INET, SOCK_DGRAM | 0x10), which the kernel always answers with EINVAL",
            "EACCES",
        ),
        fix=("minictr exec {image} true",),
        repaired='filtered --refuse socket:inet -- sh -c "$USER_FIX"',
        near=f"filtered --refuse setns,socket:netlink -- {NETWORK}",
    ),
]
