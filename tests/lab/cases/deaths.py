"""How commands end that were started: reported where it is proved, and their status is kept."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import AS_USER, LIBRARIES

OWN = """own() { printf "$2" >"$IMAGE/bin/$1"; chmod +x "$IMAGE/bin/$1"; }"""
LOADER = """loader=$(ldd /bin/true | grep -o '/[^ ]*/ld-[^ ]*'); cp /bin/true "$IMAGE/bin/dynamic"
    mkdir -p "$IMAGE${loader%/*}" && cp "$loader" "$IMAGE$loader" """
KILLING = """profile() { printf '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names":
    ["mkdir", "mkdirat"], "action": "%s"}]}' "$1" >"$DIRECTORY/profile.json"; }
    launch() { minictr exec --security seccomp:"$DIRECTORY/profile.json" "$IMAGE" "$@"; }"""

MEMORY = """memory() { file=memory.limit_in_bytes; limit=$1; shift
    [ -d /sys/fs/cgroup/memory ] || file=memory.max; in-cgroup memory $file $limit -- "$@"; }"""

TOGETHER = """minictr exec "$IMAGE" sh -c 'one() { sh -c "i=0; while [ \\$i -lt 400000 ]; do
    i=\\$((i+1)); done"; }; one; one; one; one; kill -XCPU $$'"""

CASES = [
    Case(
        "MC0640",
        status=127,
        proof=("libc.so.6 is missing, which /bin/dynamic needs", "no such file is in "),
        fix=("Install what has libc.so.6 where the image is built",),
        repaired=f'cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}\nminictr exec "$IMAGE" dynamic',
        # The same status, and every library is there.
        near=f"""cp /bin/sh "$IMAGE/bin/dynamic"
            {LIBRARIES}\nminictr exec "$IMAGE" dynamic -c 'exit 127' || [ $? = 127 ]""",
    ),
    Case(
        "MC0640",
        name="elsewhere",
        status=127,
        script=f"""{LOADER}
            mkdir "$IMAGE/extra"; cp "$(find "/lib/$(uname -m)-linux-gnu/" -name libc.so.6)" \
                "$IMAGE/extra"; minictr exec "$IMAGE" dynamic""",
        proof=("libc.so.6 is missing",),
        repaired=f"""{LOADER}
            mkdir "$IMAGE/extra"; cp "$(find "/lib/$(uname -m)-linux-gnu/" -name libc.so.6)" \
                "$IMAGE/extra"; minictr exec --env LD_LIBRARY_PATH=/extra "$IMAGE" dynamic""",
        near=f"""{LOADER}
            mkdir "$IMAGE/extra" "$IMAGE/etc"; echo /extra >"$IMAGE/etc/ld-musl-x.path"
            cp "$(find "/lib/$(uname -m)-linux-gnu/" -name libc.so.6)" "$IMAGE/extra"
            minictr exec "$IMAGE" sh -c 'exit 127' || [ $? = 127 ]""",
    ),
    Case(
        "MC0641",
        status=127,
        proof=("libc.so.6, which /bin/dynamic needs, is of no use to it", "0 bytes"),
        fix=("Install libc.so.6 anew",),
        repaired=f'cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}\nminictr exec "$IMAGE" dynamic',
        near=f'{LOADER}\nminictr exec "$IMAGE" dynamic',
        instead="MC0640",
    ),
    Case(
        "MC0641",
        name="foreign",
        status=127,
        script=f"""cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}
            library=$(find "$IMAGE" -name libc.so.6); foreign-elf "$library" "$library.new"
            mv "$library.new" "$library"; minictr exec "$IMAGE" dynamic""",
        proof=("libc.so.6, which /bin/dynamic needs, is of no use to it: it is for ",),
        repaired=f'cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}\nminictr exec "$IMAGE" dynamic',
        # A foreign one is passed over where another directory has the right one.
        near=f"""cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}
            library=$(find "$IMAGE" -name libc.so.6); mkdir "$IMAGE/first"
            foreign-elf "$library" "$IMAGE/first/libc.so.6"
            minictr exec --env LD_LIBRARY_PATH=/first "$IMAGE" dynamic""",
    ),
    Case(
        "MC0642",
        status=127,
        proof=("env does not find 'nosuch'", "/bin/greet begins with '#!/bin/env nosuch'"),
        fix=("Install nosuch where the image is built",),
        repaired=f"{OWN}; own greet '#!/bin/env sh\\n'; minictr exec \"$IMAGE\" greet",
        near=f"{OWN}; own greet '#!/bin/env sh\\nexit 127\\n'\n"
        'minictr exec "$IMAGE" greet || [ $? = 127 ]',
    ),
    Case(
        "MC0642",
        name="of-its-own",
        status=127,
        script=f"{OWN}; own greet '#!/bin/env nosuch\\n'\n"
        'minictr exec --env PATH=/none "$IMAGE" /bin/greet',
        proof=("env does not find 'nosuch'", "PATH is /none"),
        repaired='minictr exec "$IMAGE" true',
        # This env is busybox, which is a shell as well, wherever PATH leads to.
        near=f"{OWN}; own greet '#!/bin/env sh\\nnosuch\\n'\n"
        'minictr exec --env PATH=/none "$IMAGE" /bin/greet || [ $? = 127 ]',
    ),
    Case(
        "MC0642",
        name="carriage-return",
        status=127,
        script=f"{OWN}; own greet '#!/bin/env sh\\r\\n'; minictr exec \"$IMAGE\" greet",
        proof=("env does not find 'sh\\r'",),
        fix=("sed -i", "{image}/bin/greet"),
        repaired=f"{OWN}; own greet '#!/bin/env sh\\r\\n'; eval \"$USER_FIX\"\n"
        'minictr exec "$IMAGE" greet',
        near=f"{OWN}; own greet '#!/bin/env sh\\nexit 0\\r\\n'; minictr exec \"$IMAGE\" greet "
        "2>/dev/null || [ $? != 127 ]",
    ),
    Case(
        "MC0642",
        name="blank",
        status=127,
        script=f"{OWN}; own greet '#!/bin/env sh -e\\n'; minictr exec \"$IMAGE\" greet",
        proof=("env does not find 'sh -e'",),
        fix=("env -S ", "{image}/bin/greet"),
        # busybox has an env without -S.
        repaired=f"{OWN}; own greet '#!/bin/env sh\\n'; minictr exec \"$IMAGE\" greet",
        near="""printf '#!/bin/env sh\\nexit 126\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet || [ $? = 126 ]""",
    ),
    Case(
        "MC0643",
        status=159,
        proof=(
            "SIGSYS ended mkdir: {directory}/profile.json sends it for mkdir, mkdirat; else a "
            "process sent it",
            "what tells the two apart: the kernel's log has a line type=1326",
        ),
        fix=("Allow in {directory}/profile.json", "journalctl -k --grep type=1326"),
        repaired=f"{KILLING}; profile SCMP_ACT_ALLOW; launch mkdir /tmp/made; rmdir /tmp/made",
        # An exit status is no signal.
        near=f"{KILLING}; profile SCMP_ACT_KILL_PROCESS; launch sh -c 'exit 159' || [ $? = 159 ]",
    ),
    Case(
        "MC0643",
        name="without-init",
        status=159,
        script=f"""{KILLING}; profile SCMP_ACT_KILL_THREAD
            minictr exec --no-pid --security seccomp:"$DIRECTORY/profile.json" "$IMAGE" \
                mkdir /tmp/new""",
        proof=("SIGSYS ended mkdir",),
        repaired='minictr exec "$IMAGE" true',
        # Nothing in the profile sends that signal.
        near=f"{KILLING}; profile SCMP_ACT_ERRNO; launch sh -c 'kill -SYS $$' || [ $? = 159 ]",
    ),
    Case(
        "MC0646",
        status=137,
        proof=(
            "SIGKILL ended tail, and the kernel ended a process for want of memory",
            ": 0 before the launch, 1 after it",
        ),
        fix=("Have tail use less memory.", "echo 204800000 >/sys/fs/cgroup/"),
        repaired=f"""{MEMORY}; memory 102400000 sh -c 'eval "$ADMINISTRATOR_FIX"
            {AS_USER} minictr -v exec "$IMAGE" tail -c 100 /bin/busybox >/dev/null'""",
        # The same signal in the same group, from somebody.
        near=f"""{MEMORY}; memory 102400000 {AS_USER} \
            minictr -v exec "$IMAGE" sh -c 'kill -KILL $$' || [ $? = 137 ]""",
    ),
    Case(
        "MC0646",
        name="below",
        as_root=True,
        status=137,
        script=f"""{MEMORY}; memory 102400000 {AS_USER} \
            minictr -v exec "$IMAGE" sh -c 'tail -c 400000000 /dev/zero; exit $?'""",
        proof=("a status of SIGKILL came from sh, and the kernel ended a process for want",),
        repaired='minictr exec "$IMAGE" true',
        # Without -v nobody knows.
        near=f"""{MEMORY}; memory 102400000 {AS_USER} \
            minictr exec "$IMAGE" tail -c 400000000 /dev/zero || [ $? = 137 ]""",
    ),
    Case(
        "MC0644",
        status=139,
        proof=("/bin/true needs ", "getrlimit(RLIMIT_AS): 1024000000"),
        fix=("ulimit -S -v ", "minictr exec {image} true"),
        repaired="""rm "$IMAGE/bin/true"; swollen "$IMAGE/bin/busybox" "$IMAGE/bin/true" 2000000000
            ulimit -S -v 1000000; eval "$USER_FIX" """,
        # The same signal under the same limit, of a program that fits.
        near="""ulimit -S -v 1000000
            minictr exec "$IMAGE" sh -c 'kill -SEGV $$' || [ $? = 139 ]""",
    ),
    Case(
        "MC0645",
        status=152,
        proof=(
            "SIGXCPU ended sh: its limit of 1 seconds of processor time is used up; else a process "
            "sent it",
            "getrlimit(RLIMIT_CPU): 1 seconds",
            "what tells the two apart: strace -f, with --id-map single, shows si_code=SI_KERNEL",
        ),
        fix=("ulimit -S -t ", "minictr exec {image} sh -c "),
        repaired='ulimit -S -t 1; timeout 3 sh -c "$USER_FIX" || [ $? = 124 ]',
        near="""ulimit -S -t 100; minictr exec "$IMAGE" sh -c 'kill -XCPU $$' || [ $? = 152 ]""",
    ),
    Case(
        "MC0645",
        name="killed",
        status=152,
        script="""ulimit -S -t 1; minictr exec "$IMAGE" sh -c 'while :; do :; done'""",
        proof=("SIGXCPU ended sh: its limit of 1 seconds",),
        repaired='ulimit -S -t 10; minictr exec "$IMAGE" true',
        # Its children have computed for longer than one process may, and somebody sends SIGKILL.
        near="""ulimit -t 1; minictr exec "$IMAGE" sh -c 'one() { timeout -s TERM 0.6 sh -c \
            "while :; do :; done"; }; one; one; one; kill -KILL $$' || [ $? = 137 ]""",
    ),
    Case(  # Together they computed for longer, each for less: the report leaves open who sent it.
        "MC0645",
        name="together",
        status=152,
        script=f"""ulimit -S -t 2; {TOGETHER}""",
        proof=("; else a process sent it", "all its processes together"),
        repaired='ulimit -S -t 10; minictr exec "$IMAGE" true',
        near=f"""ulimit -S -t 100; {TOGETHER} || [ $? = 152 ]""",
    ),
]
