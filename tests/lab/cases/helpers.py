"""Faults of the id maps: the files of newuidmap and newgidmap."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import FIX_AS_USER, HELPERS, OWN_HELPERS, STAYS_ROOT

BOUND = 'mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap'
COPIED = f'cp -p /usr/bin/newuidmap "$DIRECTORY/newuidmap"; {BOUND}'
# What installing the package again comes to.
REINSTALLED = f"{FIX_AS_USER} && umount /usr/bin/newuidmap && {HELPERS}"
SINGLE = "minictr exec --id-map single "
RAISES = "" if STAYS_ROOT else "this newuidmap raises its capability itself"
AGAIN = "apt-get install --reinstall uidmap"

CASES = [
    Case(
        "MC0311",
        proof=("/usr/bin/newuidmap lies on the mount /usr/bin/newuidmap, which is noexec",),
        fix=("mount -o remount,bind,exec /usr/bin/newuidmap", SINGLE),
        repaired=f"""mount --bind /usr/bin/newuidmap /usr/bin/newuidmap
            mount -o remount,bind,noexec /usr/bin/newuidmap
            {FIX_AS_USER} && sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"""mount --bind /usr/bin/newuidmap /usr/bin/newuidmap
            mount -o remount,bind,noatime /usr/bin/newuidmap; {HELPERS}""",
    ),
    Case(
        "MC0312",
        prepare=COPIED,
        proof=(
            "/usr/bin/newuidmap denies execution to {user}",
            "owner 0, group 0, mode 4750",
        ),
        fix=("setfacl -m u:{user}:x /usr/bin/newuidmap", SINGLE),
        repaired=f"""chmod 4750 /usr/bin/newuidmap
            {FIX_AS_USER} && sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        # Who may execute a program need not read it.
        near=f"chmod 4711 /usr/bin/newuidmap; {HELPERS}",
    ),
    Case(
        "MC0312",
        name="directory",
        prepare="""mkdir "$DIRECTORY/closed" "$DIRECTORY/layer"
            cp -p /usr/bin/newuidmap "$DIRECTORY/closed"
            ln -s "$DIRECTORY/closed/newuidmap" "$DIRECTORY/layer/newuidmap"
            mount -t overlay overlay -o "lowerdir=$DIRECTORY/layer:/usr/bin" /usr/bin""",
        script=f'chmod 0700 "$DIRECTORY/closed"; {HELPERS}',
        as_root=True,
        proof=("{directory}/closed denies search to {user}",),
        fix=("setfacl -m u:{user}:x {directory}/closed",),
        repaired=f"""chmod 0700 "$DIRECTORY/closed"
            sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=HELPERS,
    ),
    Case(
        "MC0313",
        proof=("/usr/bin/newuidmap is damaged: it has 20000 bytes of ",),
        fix=(AGAIN, SINGLE),
        repaired=f"""head -c 20000 /usr/bin/newuidmap >"$DIRECTORY/newuidmap"
            chmod 4755 "$DIRECTORY/newuidmap"; {BOUND}; {REINSTALLED}""",
        near=f"{COPIED}; chmod 4750 /usr/bin/newuidmap; {HELPERS}",
        instead="MC0312",
    ),
    Case(
        "MC0313",
        name="empty",
        script=f""": >"$DIRECTORY/newuidmap"; chmod 4755 "$DIRECTORY/newuidmap"
            {BOUND}; {HELPERS}""",
        as_root=True,
        proof=("/usr/bin/newuidmap is damaged: it is empty",),
        repaired=f': >"$DIRECTORY/newuidmap"; {BOUND}; {REINSTALLED}',
        # Whole, and killed all the same.
        near=f"""cp /bin/busybox "$DIRECTORY/newuidmap"; mkdir "$DIRECTORY/bin"
            printf '#!/bin/sh\\nkill -SEGV $$\\n' >"$DIRECTORY/newuidmap"; {BOUND}; {HELPERS}""",
        instead="MC0000",
    ),
    Case(
        "MC0313",
        name="text",
        script=f"""echo 'echo no program' >"$DIRECTORY/newuidmap"
            chmod 4755 "$DIRECTORY/newuidmap"; {BOUND}; {HELPERS}""",
        as_root=True,
        proof=("it begins with b'echo no program\\n', which no program does",),
        repaired=f'echo text >"$DIRECTORY/newuidmap"; {BOUND}; {REINSTALLED}',
        near=f"""sed 's,/ld-linux,/ld-other,' /usr/bin/newuidmap >"$DIRECTORY/newuidmap"
            chmod 4755 "$DIRECTORY/newuidmap"; {BOUND}; {HELPERS}""",
        instead="MC0316",
    ),
    Case(
        "MC0313",
        name="directory",
        prepare='mkdir -p "$DIRECTORY/layer"',
        script=f"""mkdir "$DIRECTORY/layer/newuidmap"
            mount -t overlay overlay -o "lowerdir=$DIRECTORY/layer:/usr/bin" /usr/bin; {HELPERS}""",
        as_root=True,
        proof=("/usr/bin/newuidmap is damaged: it is a directory",),
        repaired=HELPERS,
        near=f"{COPIED}; : >/usr/bin/newuidmap; chmod 0750 /usr/bin/newuidmap; {HELPERS}",
        instead="MC0312",
    ),
    Case(
        "MC0314",
        proof=("/usr/bin/newuidmap was built for ", "e_machine of /usr/bin/newuidmap is "),
        fix=(AGAIN, SINGLE),
        repaired=f"""foreign-elf /usr/bin/newuidmap "$DIRECTORY/newuidmap"
            chmod 4755 "$DIRECTORY/newuidmap"; {BOUND}; {REINSTALLED}""",
        near=f"""head -c 100 /usr/bin/newuidmap >"$DIRECTORY/newuidmap"
            chmod 4755 "$DIRECTORY/newuidmap"; {BOUND}; {HELPERS}""",
        instead="MC0313",
    ),
    Case(
        "MC0315",
        proof=("/usr/bin/newuidmap is a script, to which the kernel gives no privilege", "4755"),
        fix=(AGAIN, SINGLE),
        repaired=f"""printf '#!/bin/sh\\n' >"$DIRECTORY/newuidmap"; {BOUND}; {REINSTALLED}""",
        # A script which starts the program that has the privilege.
        near=f"""cp -p /usr/bin/newuidmap "$DIRECTORY/real"
            printf '#!/bin/sh\\nexec %s/real "$@"\\n' "$DIRECTORY" >"$DIRECTORY/newuidmap"
            chmod 4755 "$DIRECTORY/newuidmap"; {BOUND}; {HELPERS}""",
    ),
    Case(
        "MC0316",
        proof=("which /usr/bin/newuidmap has to be started by, is missing", "PT_INTERP of "),
        fix=(AGAIN, SINGLE),
        repaired=f"""sed 's,/ld-linux,/ld-other,' /usr/bin/newuidmap >"$DIRECTORY/newuidmap"
            chmod 4755 "$DIRECTORY/newuidmap"; {BOUND}; {REINSTALLED}""",
        near=f"hide newuidmap; {HELPERS}",
        instead="MC0305",
    ),
    Case(
        "MC0316",
        name="script",
        script=f"""printf '#!/usr/bin/nosuch\\n' >"$DIRECTORY/newuidmap"
            chmod 4755 "$DIRECTORY/newuidmap"; {BOUND}; {HELPERS}""",
        as_root=True,
        proof=("/usr/bin/nosuch, which /usr/bin/newuidmap has to be started by, is missing",),
        repaired=f"""printf '#!/usr/bin/nosuch\\n' >"$DIRECTORY/newuidmap"; {BOUND}
            {REINSTALLED}""",
        near=f"""printf '#!/bin/sh\\nexit 3\\n' >"$DIRECTORY/newuidmap"
            chmod 4755 "$DIRECTORY/newuidmap"; {BOUND}; {HELPERS}""",
        instead="MC0000",
    ),
    Case(
        "MC0317",
        proof=("libaudit.so.1, which cannot be loaded", "error while loading shared libraries"),
        fix=("dpkg -S '*/libaudit.so.1'", SINGLE),
        # To unmount what hides the library is what installing its package comes to.
        repaired="""library=$(ldd /usr/bin/newuidmap | grep -o '/[^ ]*libaudit[^ ]*')
            : >"$DIRECTORY/empty"
            mount --bind "$DIRECTORY/empty" "$(readlink -f "$library")"
            setpriv --reuid="$USER" --regid="$USER" --init-groups sh -c "$USER_FIX" &&
            umount "$(readlink -f "$library")" && """
        + HELPERS,
        near=f"""printf '#!/bin/sh\\necho no library >&2; exit 127\\n' >"$DIRECTORY/newuidmap"
            chmod 4755 "$DIRECTORY/newuidmap"; {BOUND}; {HELPERS}""",
        instead="MC0000",
    ),
    Case(
        "MC0317",
        name="old",
        script=f"""sed 's/GLIBC_2\\.34/GLIBC_2.99/' /usr/bin/newuidmap >"$DIRECTORY/newuidmap"
            chmod 4755 "$DIRECTORY/newuidmap"; {BOUND}; {HELPERS}""",
        as_root=True,
        proof=("libc.so.6 of the version GLIBC_2.99, which cannot be loaded",),
        repaired=f'cp /usr/bin/newuidmap "$DIRECTORY/newuidmap"; {BOUND}; {REINSTALLED}',
        near=HELPERS,
    ),
    Case(
        "MC0318",
        prepare=COPIED,
        proof=("/usr/bin/newuidmap belongs to uid 1 and not to root", "owner 1, mode 4755"),
        fix=("chown root: /usr/bin/newuidmap", "setcap cap_setuid+ep /usr/bin/newuidmap", SINGLE),
        repaired=f"""chown daemon /usr/bin/newuidmap; chmod 4755 /usr/bin/newuidmap
            {FIX_AS_USER} && sh -ec "$ADMINISTRATOR_FIX" && {HELPERS}""",
        # Whoever owns it: file capabilities count.
        near=f"""chown daemon /usr/bin/newuidmap; chmod 0755 /usr/bin/newuidmap
            setcap cap_setuid+ep /usr/bin/newuidmap; {HELPERS}""",
    ),
    Case(
        "MC0318",
        name="own",
        prepare=COPIED,
        script=f"""chown "$USER" /usr/bin/newuidmap; chmod 4755 /usr/bin/newuidmap; {HELPERS}""",
        as_root=True,
        proof=("/usr/bin/newuidmap belongs to uid {uid} and not to root",),
        repaired=f"""chown "$USER" /usr/bin/newuidmap; chmod 4755 /usr/bin/newuidmap
            sh -ec "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"chown 0:daemon /usr/bin/newuidmap; chmod 4755 /usr/bin/newuidmap; {HELPERS}",
    ),
    Case(
        "MC0320",
        prepare=COPIED,
        proof=("/usr/bin/newuidmap has file capabilities beside its setuid bit", "without CAP_"),
        fix=("chmod u-s /usr/bin/newuidmap", "setcap cap_setuid+ep /usr/bin/newuidmap", SINGLE),
        repaired=f"""setcap = /usr/bin/newuidmap; chmod 4755 /usr/bin/newuidmap
            {FIX_AS_USER} && sh -ec "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"setcap = /usr/bin/newuidmap; setcap -r /usr/bin/newuidmap; {HELPERS}",
    ),
    Case(
        "MC0320",
        name="capable",
        impossible=RAISES,
        prepare=COPIED,
        script=f"""setcap cap_setuid+ep /usr/bin/newuidmap; chmod 4755 /usr/bin/newuidmap
            {HELPERS}""",
        as_root=True,
        proof=("/usr/bin/newuidmap has file capabilities beside its setuid bit", "mode 4755"),
        fix=("chmod u-s /usr/bin/newuidmap", SINGLE),
        repaired=f"""setcap cap_setuid+ep /usr/bin/newuidmap; chmod 4755 /usr/bin/newuidmap
            {FIX_AS_USER} && sh -ec "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"""setcap cap_setuid+ep /usr/bin/newuidmap; chmod 0755 /usr/bin/newuidmap
            {HELPERS}""",
    ),
    Case(
        "MC0321",
        impossible=RAISES,
        prepare=f"{OWN_HELPERS}; chmod u-s /usr/bin/newuidmap",
        proof=("/usr/bin/newuidmap has CAP_SETUID in its permitted set, and not effective",),
        fix=("setcap cap_setuid+ep /usr/bin/newuidmap", SINGLE),
        repaired=f"""setcap cap_setuid+p /usr/bin/newuidmap
            {FIX_AS_USER} && sh -ec "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"setcap cap_setgid+ep /usr/bin/newuidmap; {HELPERS}",
        instead="MC0308",
    ),
    Case(
        "MC0322",
        proof=("the file capabilities of /usr/bin/newuidmap count where uid 100000 is root",),
        fix=("setcap cap_setuid+ep /usr/bin/newuidmap", SINGLE),
        repaired=f"""install -m 0755 /usr/bin/newuidmap "$DIRECTORY/newuidmap"
            setcap -n 100000 cap_setuid+ep "$DIRECTORY/newuidmap"; {BOUND}
            {FIX_AS_USER} && sh -ec "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"""install -m 0755 /usr/bin/newuidmap "$DIRECTORY/newuidmap"
            setcap cap_setuid+ep "$DIRECTORY/newuidmap"; {BOUND}; {HELPERS}""",
    ),
    Case(
        "MC0335",
        proof=("/usr/bin/newuidmap ended with status 0 and wrote no map", "uid_map is empty"),
        fix=(AGAIN, SINGLE),
        repaired=f"""cp /bin/true "$DIRECTORY/newuidmap"; {BOUND}; {REINSTALLED}""",
        near=f"""cp /bin/false "$DIRECTORY/newuidmap"; {BOUND}; chmod 4755 /usr/bin/newuidmap
            {HELPERS}""",
        instead="MC0000",
    ),
]
