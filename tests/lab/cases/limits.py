"""Faults of every step that makes a process, opens a file, writes one or takes memory."""

from __future__ import annotations

from lab.bench import Case, reproduction
from lab.cases.common import AS_USER, BECOME, LAUNCH_AS_USER, MANY

PLAIN = 'minictr exec "$IMAGE" true'
EVALUATED = 'minictr exec --env-file "$DIRECTORY/variables" "$IMAGE" true'
UNPACK = 'minictr exec "$SIF" true'
STACKS = "ulimit -S -s 600000; ulimit -S -v 900000"
FEW_IDS = """until [ ${!:-0} -gt 300 ]; do true & wait $!; done
    echo 301 >/proc/sys/kernel/pid_max || exit 77
    sleep 5 &"""
OPEN = "; ".join(f"exec {number}</dev/null" for number in range(5, 40))


# All of the reproduction but the launch.
LARGE = "".join(reproduction("MC0706")[0].splitlines(keepends=True)[:2])


def in_group(limit: int, command: str) -> str:
    return f"in-cgroup pids pids.max {limit} -- {command}"


def in_ids(command: str) -> str:
    return f"unshare -Urpf --mount-proc bash -c '{FEW_IDS} {command}'"


CASES = [
    Case(
        "MC0701",
        prepare=PLAIN,
        proof=("RLIMIT_NPROC is 1, and the user has ", "threads with this real uid"),
        fix=("ulimit -S -u ",),
        repaired=f"""bash -c 'ulimit -S -u 1; eval "$USER_FIX"; {PLAIN}'""",
        near=f"bash -c 'ulimit -S -u $(($(ps -u $(id -u) -L | wc -l) + 50)); {PLAIN}'",
    ),
    Case(
        "MC0701",
        name="compiler",  # of the filter, before any step
        script=f"bash -c 'ulimit -S -u 1; {PLAIN}'",
        proof=("RLIMIT_NPROC is 1",),
        repaired=f"""bash -c 'ulimit -S -u 1; eval "$USER_FIX"; {PLAIN}'""",
        near=f"filtered --refuse clone --errno EAGAIN -- {PLAIN}",
        instead="MC0204",
    ),
    Case(
        "MC0701",
        name="payload",
        prepare=PLAIN,
        script=f"unshare -Ur bash -c 'ulimit -S -u 2; exec {PLAIN}'",
        proof=("RLIMIT_NPROC is 2, and the user has 2 processes and threads",),
        repaired=f"""unshare -Ur bash -c 'ulimit -S -u 2; eval "$USER_FIX"; exec {PLAIN}'""",
        # Those outside of the user namespace do not count against the limit inside.
        near=f"""for i in 1 2 3 4 5 6 7 8 9; do sleep 3 & done
            unshare -Ur bash -c 'ulimit -S -u 8; exec {PLAIN}'""",
    ),
    *(
        Case(
            "MC0701",
            name=f"unpacking-{limit}",
            script=f"unshare -Ur bash -c 'ulimit -S -u {limit}; exec {UNPACK}'",
            proof=(f"RLIMIT_NPROC is {limit}", "to unpack an image takes up to"),
            repaired=f"""unshare -Ur bash -c 'ulimit -S -u {limit}; eval "$USER_FIX"; {UNPACK}'""",
            near=f"unshare -Ur bash -c 'ulimit -S -u $((20 + $(nproc))); {also}exec {UNPACK}'",
            instead=instead,
        )
        # Enough processes; in the second there is no memory for the stack of a second thread.
        for limit, also, instead in (
            (2, "", ""),
            (4, "ulimit -u $((8 + $(nproc))); ulimit -s 600000; ulimit -v 900000; ", "MC0705"),
        )
    ),
    Case(
        "MC0702",
        prepare=LAUNCH_AS_USER,
        proof=(
            " is full: its pids.max is 1",
            "pids.max reads 1, pids.current 1",
            "with one fork(2)",
        ),
        fix=("End processes of the group", "echo 17 >/sys/fs/cgroup/"),
        repaired=in_group(1, f"""sh -c 'eval "$ADMINISTRATOR_FIX"; {LAUNCH_AS_USER}'"""),
        near=in_group(30, LAUNCH_AS_USER),
    ),
    Case(
        "MC0702",
        name="helpers",
        prepare=LAUNCH_AS_USER,
        script=in_group(3, f"setpriv {BECOME} {MANY}"),
        as_root=True,
        proof=(" is full: its pids.max is 3",),
        repaired=in_group(3, f"""sh -c 'eval "$ADMINISTRATOR_FIX"; setpriv {BECOME} {MANY}'"""),
        # There is room in the group, and the user has none.
        near=in_group(30, f"{AS_USER} bash -c 'ulimit -S -u 1; {PLAIN}'"),
        instead="MC0701",
    ),
    Case(
        "MC0702",
        name="root",  # to whom RLIMIT_NPROC does not apply
        prepare=PLAIN,
        script=in_group(1, f"bash -c 'ulimit -S -u 1; exec {PLAIN}'"),
        as_root=True,
        proof=(" is full: its pids.max is 1",),
        repaired=in_group(1, f"""bash -c 'ulimit -S -u 1; eval "$ADMINISTRATOR_FIX"; {PLAIN}'"""),
        near=in_group(30, f"bash -c 'ulimit -S -u 1; exec {PLAIN}'"),
    ),
    Case(
        "MC0703",
        prepare=PLAIN,
        proof=("kernel.pid_max is 301, and every process id from 300 on is taken",),
        fix=("echo 32768 >/proc/sys/kernel/pid_max",),
        repaired=in_ids(f'eval "$ADMINISTRATOR_FIX"; exec {PLAIN}'),
        near=in_ids(f"echo 400 >/proc/sys/kernel/pid_max; exec {PLAIN}"),
    ),
    Case(
        "MC0704",
        prepare=PLAIN,
        proof=("RLIMIT_NOFILE is 6, and ", "RLIMIT_NOFILE is 6 (soft)"),
        fix=("ulimit -S -n 1024",),
        repaired=f"""sh -c 'ulimit -S -n 6; eval "$USER_FIX"; {PLAIN}'""",
        near=f"filtered --refuse clone --errno EMFILE -- {PLAIN}",
        instead="MC0204",
    ),
    Case(
        "MC0704",
        name="inherited",
        prepare=PLAIN,
        script=f"bash -c '{OPEN}; ulimit -S -n 20; {PLAIN}'",
        proof=("RLIMIT_NOFILE is 20",),
        repaired=f"""bash -c '{OPEN}; ulimit -S -n 20; eval "$USER_FIX"; {PLAIN}'""",
        near=f"bash -c '{OPEN}; ulimit -S -n 60; {PLAIN}'",
    ),
    # The image's shell is given the numbers 8 and 9.
    Case(
        "MC0704",
        name="shell",
        prepare="echo 'A=$(id)' >$DIRECTORY/variables",
        script=f"sh -c 'ulimit -S -n 9; {EVALUATED}'",
        proof=("RLIMIT_NOFILE is 9, and ",),
        repaired=f"""sh -c 'ulimit -S -n 9; eval "$USER_FIX"; {EVALUATED}'""",
        near=f"sh -c 'ulimit -S -n 24; {EVALUATED}'",
    ),
    Case(
        "MC0704",
        name="unpacking",
        script=f"sh -c 'ulimit -S -n 8; {UNPACK}'",
        proof=("RLIMIT_NOFILE is 8, and ",),
        repaired=f"""sh -c 'ulimit -S -n 8; eval "$USER_FIX"; {UNPACK}'""",
        near=f"sh -c 'ulimit -S -n 24; {UNPACK}'",
    ),
    Case(
        "MC0704",
        name="hard",
        script=f"sh -c 'ulimit -n 8; {UNPACK}; exit $?'",
        proof=("RLIMIT_NOFILE is 8, and ", "8 (hard)"),
        fix=("Start minictr from ", "prlimit --pid ", " --nofile=1024:1024"),
        repaired=UNPACK,
        near=f"sh -c 'ulimit -n 24; {UNPACK}'",
    ),
    Case(
        "MC0412",
        name="unpacking",
        script=f"sh -c 'ulimit -S -f 100; {UNPACK}'",
        proof=("RLIMIT_FSIZE is ",),
        fix=("ulimit -S -f unlimited",),
        repaired=f"""sh -c 'ulimit -S -f 100; eval "$USER_FIX"; {UNPACK}'""",
        near=f"sh -c 'ulimit -S -f 100000; {UNPACK}'",
    ),
    Case(
        "MC0705",
        proof=("RLIMIT_AS leaves minictr and what it starts too little memory", "VmSize "),
        fix=("ulimit -S -v unlimited",),
        repaired=f"""sh -c 'ulimit -S -v 50000; eval "$USER_FIX"; {UNPACK}'""",
        near=f"sh -c 'ulimit -S -v 4000000; {UNPACK}'",
    ),
    Case(
        "MC0705",
        name="data",
        script=f"sh -c 'ulimit -S -d 30000; {UNPACK}'",
        proof=("RLIMIT_DATA leaves minictr and what it starts too little memory", "VmData "),
        fix=("ulimit -S -d unlimited",),
        repaired=f"""sh -c 'ulimit -S -d 30000; eval "$USER_FIX"; {UNPACK}'""",
        near=f"sh -c 'ulimit -S -d 4000000; {UNPACK}'",
    ),
    Case(
        "MC0705",
        name="stacks",
        script=f"sh -c '{STACKS}; {UNPACK}'",
        proof=("RLIMIT_AS leaves minictr", "RLIMIT_STACK is 614400000 (soft)"),
        fix=("ulimit -S -v unlimited",),
        repaired=f"""sh -c '{STACKS}; eval "$USER_FIX"; {UNPACK}'""",
        near=f"sh -c 'ulimit -S -s 100000; ulimit -S -v 900000; {UNPACK}'",
    ),
    Case(
        "MC0706",
        proof=("oom_kill rose from 0 to 1 while it ran", "reads 50331648"),
        fix=("outside of this cgroup", "echo 536870912 >/sys/fs/cgroup/"),
        repaired=LARGE
        + """export UNPACK='runuser -u "$USER" -- \
                minictr exec --unpack now "$DIRECTORY/large.squashfs" true'
            in-cgroup memory memory.max 48M -- sh -c 'eval "$ADMINISTRATOR_FIX"; eval "$UNPACK"'""",
        # unsquashfs is killed as well, and the group has memory.
        near=r"""printf '#!/bin/sh\nkill -9 $$\n' >"$DIRECTORY/unsquashfs"
            chmod 0755 "$DIRECTORY/unsquashfs"
            in-cgroup memory memory.max 48M -- runuser -u "$USER" -- \
                env PATH="$DIRECTORY:$PATH" minictr exec "$SIF" true""",
        instead="MC0000",
    ),
]
