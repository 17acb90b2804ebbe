"""Faults of new namespaces."""

from __future__ import annotations

import shutil

from lab.bench import Case
from lab.cases.common import AS_USER, LAUNCH_AS_USER

# By the user: of a home of mode 0700 root can read nothing in a namespace without its owner.
BOUND = f"""{AS_USER} unshare -Urm sh -c 'mount --rbind / "$CHROOT"; %s'"""

# Debian has moved it to util-linux-extra.
NO_PIVOT_ROOT = "" if shutil.which("pivot_root") else "there is no pivot_root(8) for its fix"

CASES = [
    Case(
        "MC0201",
        proof=("user.max_user_namespaces is 0", "/proc/sys/user/max_user_namespaces reads 0"),
        fix=("sysctl -w user.max_user_namespaces=",),
        repaired="""unshare -Ur sh -ec 'echo 0 >/proc/sys/user/max_user_namespaces
            eval "$ADMINISTRATOR_FIX"; minictr exec "$IMAGE" true'""",
        # An outer namespace's limit gives the same errno; ours reads 2147483647.
        near="""unshare -Ur sh -c 'echo 1 >/proc/sys/user/max_user_namespaces
            unshare -Ur minictr exec "$IMAGE" true'""",
        instead="MC0206",
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
        impossible=NO_PIVOT_ROOT,
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
        instead="MC0208",
    ),
    Case(
        "MC0203",
        impossible=NO_PIVOT_ROOT,
        name="mount",
        prepare='mount --bind "$CHROOT" "$CHROOT"; system-root "$CHROOT"',
        script=f'chroot "$CHROOT" {LAUNCH_AS_USER}',
        as_root=True,
        proof=("minictr runs in a chroot at {chroot}", "here at /, is at {chroot} in /proc/"),
        repaired=f"""echo '{LAUNCH_AS_USER}' >"$DIRECTORY/go"
            sh -c "$ADMINISTRATOR_FIX" <"$DIRECTORY/go" """,
        near=f"unshare -m {LAUNCH_AS_USER}",
    ),
    Case(  # a mount in a mount namespace that no other process is in
        "MC0203",
        impossible=NO_PIVOT_ROOT,
        name="alone",
        script=BOUND % 'exec chroot "$CHROOT" minictr exec "$IMAGE" true',
        proof=(
            "minictr runs in a chroot at {chroot}",
            "setns(2) into our own mount namespace leads to another root; ours is at {chroot}",
        ),
        repaired='echo \'minictr exec "$IMAGE" true\' >"$DIRECTORY/go"\n'
        + BOUND % 'sh -c "$ADMINISTRATOR_FIX" <"$DIRECTORY/go"',
        # The same mount, gone onto by pivot_root(2).
        near=BOUND
        % """cd "$CHROOT"; pivot_root . . && umount -l . && cd /
            exec minictr exec "$IMAGE" true""",
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
        instead="MC0208",
    ),
    Case(
        "MC0204",
        name="pretended",
        script='filtered --refuse clone:user --errno 0 -- minictr exec "$IMAGE" true',
        proof=(
            "only pretends to carry out clone(2) with CLONE_NEWUSER",
            "is answered with success",
            "success for CLONE_NEWUSER; EINVAL for CLONE_NEWNS",
        ),
        repaired='minictr exec "$IMAGE" true',
        near='filtered --refuse unshare:user --errno 0 -- minictr exec "$IMAGE" true',
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
