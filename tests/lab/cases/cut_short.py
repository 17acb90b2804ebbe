"""Programs, loaders and libraries that end before their segments do."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import LIBRARIES

# Halves a file; behind its end are pages of its last segments, and its section headers.
HALVE = """halve() { truncate -s $(($(stat -c %s "$1") / 2)) "$1"; }
    loader=$(ldd /bin/true | grep -o '/[^ ]*/ld-[^ ]*')"""
DYNAMIC = f'cp /bin/sh "$IMAGE/bin/dynamic"; {LIBRARIES}'
RUN = 'minictr exec "$IMAGE" dynamic -c "exit 0"'
KILLED = "-c 'kill -SEGV $$' || [ $? = 139 ]"
GREET = """cp "$IMAGE/bin/busybox" "$IMAGE/bin/ash.real"; ln -sf ash.real "$IMAGE/bin/ash"
    printf '#!/bin/ash\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet" """
# A script for which the image's shell is needed.
SCRIPTS = """mkdir -p "$IMAGE/.singularity.d/env"; chmod 0755 "$IMAGE/.singularity.d/env"
    printf 'A=$(echo 1)\\n%s\\n' "$1" >"$IMAGE/.singularity.d/env/90-environment.sh" """
ENVIRONMENT = f"scripts() {{ {SCRIPTS}; }}"
BOUND = """cp "$IMAGE/bin/busybox" "$DIRECTORY/true" """
LISTED = """mkdir -p "$IMAGE/var/lib/dpkg/info"
    echo /bin/sh >"$IMAGE/var/lib/dpkg/info/other.list"
    printf '/.\\n/bin/busybox\\n' >"$IMAGE/var/lib/dpkg/info/busybox-static:amd64.list" """
ALPINE = """mkdir -p "$IMAGE/lib/apk/db"
    printf '%s\\n' P:other F:bin R:ls '' P:busybox F:bin R:busybox \
        >"$IMAGE/lib/apk/db/installed" """

CASES = [
    Case(
        "MC0647",
        status=139,
        proof=(
            "SIGSEGV ended true, and /bin/busybox, the program, is cut short: its segments reach",
            "PT_LOAD of /bin/busybox: p_offset + p_filesz is ",
            "stat(/bin/busybox) in the container: 500000 bytes",
        ),
        fix=("Copy or install {image}/bin/busybox anew where the image is built.",),
        repaired="""truncate -s 500000 "$IMAGE/bin/busybox"; cp /bin/busybox "$IMAGE/bin"
            minictr exec "$IMAGE" true""",
        # The same signal: the file has its segments, and lacks some of the headers behind them.
        near=f"""truncate -s -64 "$IMAGE/bin/busybox"; minictr exec "$IMAGE" true
            minictr exec "$IMAGE" sh {KILLED}""",
    ),
    Case(
        "MC0647",
        name="loader",
        status=139,
        script=f'{HALVE}; {DYNAMIC}; halve "$IMAGE$loader"; {RUN}',
        proof=(", the ELF interpreter of /bin/dynamic, is cut short", "PT_INTERP of /bin/dynamic"),
        fix=("anew where the image is built",),
        repaired=f"{DYNAMIC}; {RUN}",
        near=f'{DYNAMIC}; minictr exec "$IMAGE" dynamic {KILLED}',
    ),
    Case(
        "MC0647",
        name="library",
        status=135,
        script=f'{HALVE}; {DYNAMIC}; halve "$(find "$IMAGE" -name libc.so.6)"; {RUN}',
        proof=(
            "SIGBUS ended dynamic",
            "libc.so.6, which /bin/dynamic needs, is cut short",
            "DT_NEEDED of /bin/dynamic has libc.so.6",
        ),
        fix=("libc.so.6 anew where the image is built",),
        repaired=f"{DYNAMIC}; {RUN}",
        # A loader may have taken the whole one that another place has.
        near=f"""{HALVE}; {DYNAMIC}; mkdir -p "$IMAGE/usr/lib64"
            cp "$(find "$IMAGE" -name libc.so.6)" "$IMAGE/usr/lib64"
            halve "$IMAGE/usr/lib64/libc.so.6"; minictr exec "$IMAGE" dynamic {KILLED}""",
    ),
    Case(
        "MC0647",
        name="script",
        status=139,
        script=f'{HALVE}; {GREET}; halve "$IMAGE/bin/ash.real"; minictr exec "$IMAGE" greet',
        proof=("/bin/ash.real, the interpreter, is cut short", "/bin/greet begins with #!/bin/ash"),
        fix=("{image}/bin/ash.real anew",),
        repaired=f'{GREET}; minictr exec "$IMAGE" greet',
        near=f"""{GREET}; echo 'kill -SEGV $$' >>"$IMAGE/bin/greet"
            minictr exec "$IMAGE" greet || [ $? = 139 ]""",
    ),
    Case(
        "MC0647",
        name="environment",
        status=139,
        script=f"""{HALVE}; {ENVIRONMENT}; scripts; halve "$IMAGE/bin/busybox"
            minictr exec "$IMAGE" true""",
        proof=("SIGSEGV ended /bin/sh, and /bin/busybox, the program, is cut short",),
        fix=("{image}/bin/busybox anew",),
        repaired=f'{ENVIRONMENT}; scripts; minictr exec "$IMAGE" true',
        near=f"""{ENVIRONMENT}; scripts 'kill -SEGV $$'
            minictr exec "$IMAGE" true || [ $? = 139 ]""",
    ),
    Case(
        "MC0647",
        name="bound",
        status=139,
        script=f"""{HALVE}; {BOUND}; halve "$DIRECTORY/true"
            minictr exec --bind "$DIRECTORY:/data" "$IMAGE" /data/true""",
        proof=("SIGSEGV ended /data/true, and /data/true, the program, is cut short",),
        fix=("Copy {directory}/true again, from where it came.",),
        repaired=f'{BOUND}; minictr exec --bind "$DIRECTORY:/data" "$IMAGE" /data/true',
        near=f"""{BOUND}; ln -s true "$DIRECTORY/sh"
            minictr exec --bind "$DIRECTORY:/data" "$IMAGE" /data/sh {KILLED}""",
    ),
    Case(
        "MC0647",
        name="package",
        status=139,
        script=f'{HALVE}; {LISTED}; halve "$IMAGE/bin/busybox"; minictr exec "$IMAGE" true',
        proof=("/bin/busybox, the program, is cut short",),
        fix=("Run `apt-get install --reinstall busybox-static:amd64` where the image is built.",),
        repaired=f'{LISTED}; minictr exec "$IMAGE" true',
        near=f'{LISTED}; minictr exec "$IMAGE" sh {KILLED}',
    ),
    Case(
        "MC0647",
        name="alpine",
        status=139,
        script=f'{HALVE}; {ALPINE}; halve "$IMAGE/bin/busybox"; minictr exec "$IMAGE" true',
        proof=("/bin/busybox, the program, is cut short",),
        fix=("Run `apk fix --reinstall busybox` where the image is built.",),
        repaired=f'{ALPINE}; minictr exec "$IMAGE" true',
        near=f'{ALPINE}; minictr exec "$IMAGE" sh {KILLED}',
    ),
]
