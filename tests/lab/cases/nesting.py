"""Faults of new namespaces that come from those around minictr: limits reached, ids, PIDs."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import AS_USER, MANY

PLAIN = 'minictr exec "$IMAGE" true'


# The process in the background is where it is going to be.
UNSHARED = (
    "until [ $(readlink /proc/$!/ns/user) != $(readlink /proc/self/ns/user) ]; do sleep 0.02; done"
)


def holding(many: int, limit: int, then: str, kind: str = "user") -> str:
    """A script: under a limit, with so many namespaces that processes hold; dash, one shell."""
    flag = "--user" if kind == "user" else f"--user --{kind}"
    return f"""unshare -Ur sh -c 'echo {limit} >/proc/sys/user/max_{kind}_namespaces
        for i in $(seq {many}); do unshare {flag} sleep 5 & all="$all $!"
            {UNSHARED}; done
        {then}
        status=$?; kill $all; exit $status'"""


NESTED = """
nest() { if [ "$1" -gt 0 ]; then
    unshare -Ur sh -c ". \\"$DIRECTORY/nest\\"; nest $(($1 - 1)) \\"\\$0\\"" "$2"
else eval "$2"; fi; }
"""
DEEP = f"""cat >"$DIRECTORY/nest" <<'end'{NESTED}end
. "$DIRECTORY/nest"
"""
CASES = [
    Case(
        "MC0205",
        proof=(
            "user.max_user_namespaces is 2, and root has 2 user namespaces",
            "/proc/sys/user/max_user_namespaces reads 2",
            "sleep (pid ",
        ),
        fix=("End what holds them, sleep (pid ", "sysctl -w user.max_user_namespaces="),
        repaired=holding(2, 2, f'eval "$ADMINISTRATOR_FIX" && {PLAIN}'),
        near=holding(2, 3, PLAIN),
    ),
    Case(
        "MC0205",
        name="mnt",
        script=holding(2, 2, PLAIN, "mount").replace("max_mount", "max_mnt"),
        proof=("user.max_mnt_namespaces is 2, and root has 2 mnt namespaces",),
        fix=("lsns --type mnt", "sysctl -w user.max_mnt_namespaces="),
        repaired=holding(2, 2, f'eval "$ADMINISTRATOR_FIX" && {PLAIN}', "mount").replace(
            "max_mount", "max_mnt"
        ),
        # Another kind is used up, which this launch does not make.
        near=holding(2, 2, PLAIN, "net"),
    ),
    Case(
        "MC0205",
        name="ended",
        script=holding(1, 1, PLAIN),
        proof=("user.max_user_namespaces is 1",),
        # What the user does: end the holder.
        repaired=holding(1, 1, f"kill $all; wait; sleep 1; {PLAIN}"),
        # It is held by an open file, which nobody sees: no cause is certain.
        near=holding(1, 1, f"exec 3</proc/$!/ns/user; kill $!; wait; sleep 1; {PLAIN}"),
        instead="MC0000",
    ),
    Case(
        "MC0206",
        proof=(
            "user.max_user_namespaces is used up outside of the user namespace",
            "max_user_namespaces reads 2147483647, and /proc/self/ns/user is user:[",
            "`unshare --user true` outside says ENOSPC for the limit",
        ),
        fix=("Start minictr outside", "sysctl -w user.max_user_namespaces=N"),
        repaired=f"""unshare -Ur sh -ec 'echo 1 >/proc/sys/user/max_user_namespaces
            unshare --user true; sleep 1; {PLAIN}
            sysctl -qw user.max_user_namespaces=9; unshare -Ur {PLAIN}'""",
        near=f"""unshare -Ur sh -c 'echo 2 >/proc/sys/user/max_user_namespaces
            unshare -Ur {PLAIN}'""",
    ),
    Case(
        "MC0206",
        name="depth",
        prepare=DEEP,
        script=f"""nest 33 '{PLAIN}'""",
        proof=("or that one lies 33 deep",),
        repaired=f"""nest 32 '{PLAIN}'""",
        # The limit of its own namespace is reached by what cannot be seen, and none outside is.
        near=f"""unshare -Ur sh -c 'echo 1 >/proc/sys/user/max_user_namespaces
            unshare -U sleep 5 & {UNSHARED}; exec 3</proc/$!/ns/user; kill $!; wait; {PLAIN}'""",
        instead="MC0000",
    ),
    Case(
        "MC0207",
        proof=(
            "user.max_uts_namespaces is 0 or used up",
            "gives ENOSPC for one with a uts namespace",
            "max_uts_namespaces reads 2147483647",
        ),
        fix=("minictr exec --uts=false ", "sysctl -w user.max_uts_namespaces=N"),
        repaired="""unshare -Ur sh -ec 'echo 0 >/proc/sys/user/max_uts_namespaces
            unshare -Ur sh -ec "$USER_FIX"'""",
        near=f"""unshare -Ur sh -c 'echo 1 >/proc/sys/user/max_uts_namespaces
            unshare -Ur {PLAIN}'""",
    ),
    Case(
        "MC0208",
        proof=(
            "the caller's uid has no number in the user namespace that minictr runs in",
            "/proc/self/uid_map is empty",
            "geteuid(2) gives 65534",
        ),
        fix=("unshare --user --map-current-user minictr exec ",),
        repaired='sh -c "$USER_FIX"',
        near='unshare --user --map-current-user minictr exec --id-map single "$IMAGE" true',
    ),
    Case(
        "MC0208",
        name="nobody",
        prepare="export HOME=/",  # a home of mode 0700 is closed to these ids
        # Root enters the user's namespace, which has 65534 in its map, without changing its ids.
        script=f"""{AS_USER} unshare --user --map-auto sleep 5 & sleep 0.5
            nsenter --target $! --user --preserve-credentials {PLAIN}""",
        as_root=True,
        proof=("the caller's uid has no number", "maps other ids: 0 ", "gives 65534"),
        repaired=f'{AS_USER} sh -c "$USER_FIX"',
        near=f"{AS_USER} unshare --user --map-auto --setuid 65534 --setgid 65534 {PLAIN}",
    ),
    Case(
        "MC0209",
        proof=("the caller's gid has no number", "/proc/self/gid_map is empty"),
        fix=("unshare --user --map-current-user minictr exec ",),
        repaired='sh -c "$USER_FIX"',
        near=f"unshare --map-user=0 --map-group=0 {PLAIN}",
    ),
    Case(
        "MC0210",
        prepare=PLAIN,
        proof=(
            "has lost its first process",
            "/proc/self/ns/pid is pid:[",
            "clone(2) without any flag gives ENOMEM",
        ),
        fix=("unshare --pid --fork --mount-proc",),
        repaired=f"""unshare -Ur --pid --fork --mount-proc sh -c '/bin/true; exec {PLAIN}'""",
        near=f"""unshare -Urp sh -c '/bin/sleep 1 & exec {PLAIN}'""",
        instead="MC0211",
    ),
    Case(
        "MC0210",
        prepare=PLAIN,
        name="pid",
        script=f"""unshare -Urp sh -c '/bin/true; exec {PLAIN}'""",
        proof=("has lost its first process",),
        repaired=f"""unshare -Ur --pid --fork --mount-proc sh -c '/bin/true; exec {PLAIN}'""",
        near=f"""unshare -Urp {PLAIN.replace("exec", "exec --no-pid")}""",
    ),
    Case(
        "MC0211",
        prepare=PLAIN,
        proof=(
            "minictr's children are in another PID namespace than minictr",
            "pid_for_children is not there yet",
        ),
        fix=("minictr exec --no-pid ", "unshare --pid --fork --mount-proc"),
        repaired="""unshare -Urp sh -c "exec $USER_FIX" """,
        near=f"unshare -Ur --pid --fork --mount-proc {PLAIN}",
    ),
    Case(
        "MC0319",
        name="overflow",
        as_root=True,
        # 65534 is an id there, and what an id without a number reads as: that of root.
        script=f'within 1:1:4000000000 "$USER" {MANY}',
        proof=(
            "the owner or the group of /usr/bin/newuidmap has no id in this user namespace",
            "started by this user it gets AT_SECURE 0",
        ),
        fix=("minictr exec --id-map single ",),
        repaired='within 1:1:4000000000 "$USER" sh -c "$USER_FIX"',
        # The same namespace, and a helper which that very id owns: its bit counts.
        near=f"""cp -p /usr/bin/newuidmap "$DIRECTORY/newuidmap"
            chown 65534:1 "$DIRECTORY/newuidmap"; chmod 4755 "$DIRECTORY/newuidmap"
            mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap
            within 1:1:4000000000 "$USER" {MANY}""",
        instead="MC0318",
    ),
]
