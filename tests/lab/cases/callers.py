"""Faults of the id maps: who calls the helpers, from where, and what for."""

from __future__ import annotations

import shutil

from lab.bench import Case
from lab.cases.common import BECOME, FIX_AS_USER, HELPERS, MANY

SINGLE = "minictr exec --id-map single "
OTHER_GROUP = '--reuid="$USER" --regid="$(getent group daemon | cut -d: -f3)" --init-groups'
ONE = 'minictr exec --id-map single "$IMAGE" true'
GRANTED = 'echo "$USER:100000:65536" >/etc/subuid; echo "$USER:100000:65536" >/etc/subgid'
MANY_RANGES = """(for first in $(seq 200000 100 240000); do echo "$USER:$first:10"; done)"""

COMPILER = "" if shutil.which("cc") else "there is no C compiler to make a source of ids with"

CASES = [
    Case(
        "MC0319",
        proof=("the owner of /usr/bin/newuidmap has no id in this user namespace", "uid_map: "),
        fix=(SINGLE, "Start the outer container with a map of many ids"),
        repaired='unshare --user --map-current-user sh -c "$USER_FIX"',
        near='unshare --user --map-current-user minictr exec --id-map single "$IMAGE" true',
    ),
    Case(
        "MC0323",
        proof=("traced (pid ", "TracerPid ", "without CAP_SYS_PTRACE", "/usr/bin/newuidmap: owner"),
        fix=(SINGLE, "Start minictr without traced (pid "),
        repaired='traced sh -c "$USER_FIX" && minictr exec --id-map helpers "$IMAGE" true',
        near='traced minictr exec --id-map single "$IMAGE" true',
    ),
    Case(
        "MC0323",
        name="root",
        # no_new_privs holds whoever traces: the tracer has CAP_SYS_PTRACE in the near miss.
        script=f"setpriv {BECOME} traced {MANY}",
        as_root=True,
        proof=("traced (pid ",),
        repaired=f'setpriv {BECOME} traced sh -c "$USER_FIX"',
        near=f"traced setpriv {BECOME} {MANY}",
    ),
    Case(
        "MC0324",
        proof=("the caller is root without CAP_SETFCAP", "CapEff ", "without CAP_SETFCAP"),
        fix=("Start minictr as another user than root", "SETFCAP"),
        repaired=f"setpriv --bounding-set=-setfcap {BECOME} {ONE} && {ONE}",
        near=f"setpriv --bounding-set=-setpcap {ONE}",
        as_root=True,
    ),
    Case(
        "MC0324",
        name="helpers",
        prepare="private-etc; echo root:800000:65536 | tee -a /etc/subuid >>/etc/subgid",
        script=f"setpriv --bounding-set=-setfcap {MANY}",
        as_root=True,
        proof=(
            "the caller is root without CAP_SETFCAP",
            "prctl(PR_CAPBSET_READ, CAP_SETFCAP) is 0",
        ),
        repaired=f"setpriv --bounding-set=-setfcap {BECOME} {MANY} && {MANY}",
        near=f"setpriv --bounding-set=-setfcap,-setuid {MANY}",
        instead="MC0309",
    ),
    Case(
        "MC0325",
        prepare=f"private-etc; {GRANTED}",
        proof=(
            "this user namespace has not got the uids 100000 to ",
            "/proc/self/uid_map: 0 0 66000",
        ),
        fix=(SINGLE, "usermod --del-subuids 100000-165535 --add-subuids ", " {user}"),
        repaired="""within 0:0:66000 "$USER" sh -c "$USER_FIX" && sh -c "$ADMINISTRATOR_FIX" &&
            usermod --del-subgids 100000-165535 --add-subgids 30000-40000 "$USER" &&
            within 0:0:66000 "$USER" minictr exec --id-map helpers "$IMAGE" true""",
        near='within 0:0:200000 "$USER" minictr exec --id-map helpers "$IMAGE" true',
    ),
    Case(
        "MC0325",
        name="two",
        prepare=f"private-etc; {GRANTED}",
        script='within 0:0:110000,110000:110000:90000 "$USER" minictr exec --id-map helpers '
        '"$IMAGE" true',
        as_root=True,
        proof=("in two lines of its map", "/proc/self/uid_map: 0 0 110000; 110000 110000 90000"),
        fix=("usermod --del-subuids 100000-165535 --add-subuids ",),
        repaired="""sh -c "$ADMINISTRATOR_FIX" &&
            usermod --del-subgids 100000-165535 --add-subgids 30000-40000 "$USER" &&
            within 0:0:110000,110000:110000:90000 "$USER" minictr exec --id-map helpers \
                "$IMAGE" true""",
        near="""usermod --del-subuids 100000-165535 --add-subuids 100000-109999 "$USER"
            usermod --del-subgids 100000-165535 --add-subgids 110000-119999 "$USER"
            within 0:0:110000,110000:110000:90000 "$USER" minictr exec --id-map helpers \
                "$IMAGE" true""",
    ),
    Case(
        "MC0325",
        name="gid",
        prepare=f"private-etc; {GRANTED}; sed -i 's/100000/30000/; s/65536/20000/' /etc/subuid",
        script='within 0:0:66000 "$USER" minictr exec --id-map helpers "$IMAGE" true',
        as_root=True,
        proof=("this user namespace has not got the gids 100000 to ", "/etc/subgid"),
        fix=("usermod --del-subgids 100000-165535 --add-subgids ",),
        repaired="""sh -c "$ADMINISTRATOR_FIX" &&
            within 0:0:66000 "$USER" minictr exec --id-map helpers "$IMAGE" true""",
        near='within 0:0:66000 "$USER" setpriv --no-new-privs minictr exec --id-map helpers '
        '"$IMAGE" true',
        instead="MC0307",
    ),
    Case(
        "MC0326",
        prepare="private-etc",
        proof=("so many ranges that the map is too large", "newuidmap wrote 30", "than a page has"),
        fix=("sed -i -e '/^{user}:/d'", "usermod --add-subuids ", SINGLE),
        repaired=f"""for first in $(seq 1000000 100 1030000); do echo "$USER:$first:50"; done \
                >>/etc/subuid; {FIX_AS_USER} && sh -ec "$ADMINISTRATOR_FIX" && {HELPERS}""",
        # Without --id-map helpers the plan has one line, and -v says why.
        near="""for first in $(seq 1000000 100 1030000); do echo "$USER:$first:50"; done \
                >>/etc/subuid; runuser -u "$USER" -- minictr exec "$IMAGE" true""",
    ),
    Case(
        "MC0326",
        name="many",
        prepare="private-etc",
        script=f"""for first in $(seq 1000000 100 1040000); do echo "$USER:$first:50"; done \
                >>/etc/subgid; {HELPERS}""",
        as_root=True,
        proof=("so many ranges that the map is too large", "newgidmap wrote 40"),
        fix=("usermod --add-subgids ",),
        repaired=f"""for first in $(seq 1000000 100 1040000); do echo "$USER:$first:50"; done \
                >>/etc/subgid; sh -ec "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"""for first in $(seq 1000000 100 1012000); do echo "$USER:$first:50"; done \
                >>/etc/subgid; {HELPERS}""",
    ),
    Case(
        "MC0326",
        name="both",
        prepare="private-etc",
        script=f"{MANY_RANGES} | tee /etc/subuid >/etc/subgid; {HELPERS}",
        as_root=True,
        proof=("/etc/subuid and /etc/subgid grant {user} so many ranges",),
        fix=("/etc/subuid /etc/subgid", "usermod --add-subuids ", " --add-subgids "),
        repaired=f"""{MANY_RANGES} | tee /etc/subuid >/etc/subgid
            sh -ec "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"{MANY_RANGES} | sed 20q | tee /etc/subuid >/etc/subgid; {HELPERS}",
    ),
    Case(
        "MC0327",
        proof=("/proc is mounted read-only", "statvfs(/proc) has ST_RDONLY", "mountinfo: "),
        fix=("mount -o remount,rw /proc",),
        repaired=f"""mount -o remount,bind,ro /proc; sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        # As engines have it.
        near=f"mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; {HELPERS}",
        # minictr's own /proc is refused beside one that is masked.
        instead="MC0404",
    ),
    Case(
        "MC0327",
        name="single",
        prepare="export HOME=/",  # the user's home is closed to this root, who has no other id
        script="""unshare -Urmpf sh -c 'mount -t proc -o ro proc /proc
            minictr exec --id-map single "$IMAGE" true'""",
        proof=("/proc is mounted read-only",),
        repaired="""unshare -Urmpf sh -c 'mount -t proc -o ro proc /proc
            eval "$ADMINISTRATOR_FIX"; minictr exec --id-map single "$IMAGE" true'""",
        near="""unshare -Urmpf sh -c 'mount -t proc proc /proc
            minictr exec --id-map single "$IMAGE" true'""",
    ),
    Case(
        "MC0328",
        proof=("/proc shows the processes of another PID namespace", "readlink(/proc/self) is "),
        fix=("mount -t proc proc /proc",),
        repaired=f"""unshare --pid --fork sh -c '
            sh -c "$ADMINISTRATOR_FIX" && setpriv {BECOME} {MANY}'""",
        near=f"unshare --pid --fork --mount-proc setpriv {BECOME} {MANY}",
    ),
    Case(
        "MC0328",
        name="helpers",
        script=f"unshare --pid --fork setpriv {BECOME} {MANY}",
        as_root=True,
        proof=("/proc shows the processes of another PID namespace",),
        repaired=f"""unshare --pid --fork sh -c '
            sh -c "$ADMINISTRATOR_FIX" && setpriv {BECOME} {MANY}'""",
        near=f"mount -t proc -o hidepid=invisible proc /proc; setpriv {BECOME} {MANY}",
    ),
    Case(
        "MC0329",
        impossible=COMPILER,
        proof=(
            "newuidmap asks the source lab and not /etc/subuid",
            "subid: lab; libsubid_lab.so",
            "not allowed",
        ),
        fix=("subid: files", SINGLE),
        repaired=f"""private-etc; subid-source lab 0; echo 'subid: lab' >>/etc/nsswitch.conf
            {FIX_AS_USER} && sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"""private-etc; subid-source lab 1; echo 'subid: lab' >>/etc/nsswitch.conf
            {HELPERS}""",
    ),
    Case(
        "MC0329",
        name="root",
        impossible=COMPILER,
        prepare="private-etc; echo root:800000:65536 | tee -a /etc/subuid >>/etc/subgid",
        script=f"subid-source lab 0; echo 'subid: lab' >>/etc/nsswitch.conf; {MANY}",
        as_root=True,
        proof=("newuidmap asks the source lab and not /etc/subuid",),
        repaired=f"""subid-source lab 0; echo 'subid: lab' >>/etc/nsswitch.conf
            sh -c "$ADMINISTRATOR_FIX" && {MANY}""",
        # It passes over a library without the functions, and its own /etc/subuid is another one.
        near=f"""subid-source lab none; echo 'subid: lab' >>/etc/nsswitch.conf
            install -D /usr/bin/newuidmap "$DIRECTORY/real/newuidmap"; : >"$DIRECTORY/none"
            printf '#!/bin/sh\\nmount --bind %s/none /etc/subuid; exec %s/real/newuidmap "$@"\\n' \
                "$DIRECTORY" "$DIRECTORY" >"$DIRECTORY/real/elsewhere"
            printf '#!/bin/sh\\nexec unshare --mount sh %s/real/elsewhere "$@"\\n' "$DIRECTORY" \
                >"$DIRECTORY/newuidmap"; chmod 0755 "$DIRECTORY/newuidmap"
            mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap; {MANY}""",
        instead="MC0000",
    ),
    Case(
        "MC0331",
        proof=("the group of {user} is daemon here", "getgid(2) is "),
        fix=("sg {user} -c 'minictr exec " if shutil.which("sg") else "", SINGLE),
        repaired=f'setpriv {OTHER_GROUP} sh -ec "$USER_FIX"',
        near=f'setpriv {OTHER_GROUP} minictr exec --id-map single "$IMAGE" true',
    ),
    Case(
        "MC0332",
        proof=("the real gid of minictr is ", "getgid(2) is ", "getegid(2) is "),
        fix=(SINGLE, "Start minictr without the program that gave it the gid "),
        repaired=f'setpriv {BECOME} sh -c "$USER_FIX" && {HELPERS}',
        near=f"setpriv {OTHER_GROUP} {MANY}",
        instead="MC0331",
    ),
    Case(
        "MC0333",
        prepare="private-etc",
        proof=("/etc/subuid is a symbolic link", "readlink(/etc/subuid) is subuid.kept"),
        fix=("cp --remove-destination $(readlink -f /etc/subuid) /etc/subuid", SINGLE),
        repaired=f"""mv /etc/subuid /etc/subuid.kept; ln -s subuid.kept /etc/subuid
            {FIX_AS_USER} && sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"""mv /etc/subuid /etc/subuid.kept; ln /etc/subuid.kept /etc/subuid; {HELPERS}""",
    ),
    Case(
        "MC0333",
        name="gid",
        prepare="private-etc",
        script=f"mv /etc/subgid /etc/subgid.kept; ln -s subgid.kept /etc/subgid; {HELPERS}",
        as_root=True,
        proof=("/etc/subgid is a symbolic link, which newgidmap does not follow",),
        repaired=f"""mv /etc/subgid /etc/subgid.kept; ln -s subgid.kept /etc/subgid
            sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"mv /etc/subgid /etc/subgid.kept; ln -s nosuch /etc/subgid; {HELPERS}",
        instead="MC0304",
    ),
    Case(
        "MC0334",
        prepare="private-etc",
        proof=("grants {user} nothing: it ends at 4295065535", "the last id is 4294967294"),
        fix=("usermod --add-subuids ", " {user}", SINGLE),
        repaired=f"""sed -i "/^$USER:/d" /etc/subuid; echo "$USER:4294900000:165536" >>/etc/subuid
            {FIX_AS_USER} && sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        # The last range that there can be.
        near=f"""sed -i "/^$USER:/d" /etc/subuid; echo "$USER:4294901760:65535" >>/etc/subuid
            {HELPERS}""",
    ),
    Case(
        "MC0334",
        name="count",
        prepare="private-etc",
        script=f"""sed -i "/^$USER:/d" /etc/subgid; echo "$USER:100000:0" >>/etc/subgid
            {HELPERS}""",
        as_root=True,
        proof=("of /etc/subgid grants {user} nothing: its count is 0",),
        fix=("usermod --add-subgids ",),
        repaired=f"""sed -i "/^$USER:/d" /etc/subgid; echo "$USER:100000:0" >>/etc/subgid
            sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"""sed -i "/^$USER:/d" /etc/subgid; echo "$USER:0x186a0:10" >>/etc/subgid
            {HELPERS}""",
    ),
    Case(
        "MC0334",
        name="own",
        prepare="private-etc",
        script=f"""sed -i "/^$USER:/d" /etc/subuid; echo "$USER:$(id -u "$USER"):1" >>/etc/subuid
            {HELPERS}""",
        as_root=True,
        proof=("grants {user} nothing: it is the caller's own id, and no other",),
        repaired=f"""sed -i "/^$USER:/d" /etc/subuid
            sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"""sed -i "/^$USER:/d" /etc/subuid; echo "$USER:$(id -u "$USER"):2" >>/etc/subuid
            {HELPERS}""",
    ),
]
