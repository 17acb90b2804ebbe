"""Faults of the id maps."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import BECOME, CAPABLE_HELPERS, FIX_AS_USER, HELPERS, MANY, OWN_HELPERS

# The ranges of the user are granted to another name.
RENAMED = 'sed -i "s/^$USER:/other:/" /etc/subuid /etc/subgid'

CASES = [
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
        "MC0301",
        name="directory",
        prepare="private-etc",
        script=f"rm /etc/subuid; mkdir /etc/subuid; {HELPERS}",
        as_root=True,
        proof=("/etc/subuid cannot be read by {user}", "EISDIR", "mode 0755"),
        fix=("rmdir /etc/subuid && echo {user}:",),
        repaired=f'rm /etc/subuid; mkdir /etc/subuid; sh -c "$ADMINISTRATOR_FIX" && {HELPERS}',
        near=f"rm /etc/subuid; ln -s nosuch /etc/subuid; {HELPERS}",
        instead="MC0303",
    ),
    Case(
        "MC0301",
        name="fifo",
        prepare="private-etc",
        script=f"rm /etc/subuid; mkfifo -m 644 /etc/subuid; {HELPERS}",
        as_root=True,
        proof=("/etc/subuid is a FIFO and no regular file", "stat(/etc/subuid): a FIFO; owner 0"),
        fix=("rm /etc/subuid && echo {user}:",),
        repaired=f"""rm /etc/subuid; mkfifo -m 644 /etc/subuid
            sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"rm /etc/subuid; touch /etc/subuid; {HELPERS}",
        instead="MC0303",
    ),
    Case(
        "MC0301",
        name="writer",
        prepare="private-etc; rm /etc/subgid; mkfifo -m 644 /etc/subgid",
        # With somebody at the other end there is no end of file to be read.
        script=f"exec 3<>/etc/subgid; {HELPERS} 3>&-",
        as_root=True,
        proof=("/etc/subgid is a FIFO and no regular file",),
        fix=("rm /etc/subgid && echo {user}:",),
        repaired=f'sh -c "$ADMINISTRATOR_FIX" && {HELPERS}',
        near=f"rm /etc/subgid; ln /etc/subuid /etc/subgid; {HELPERS}",
    ),
    Case(
        "MC0301",
        name="device",
        prepare="private-etc",
        script=f"mount --bind /dev/null /etc/subuid; {HELPERS}",
        as_root=True,
        proof=("/etc/subuid is a character device and no regular file",),
        fix=("Put a regular file that grants {user} a range in the place of /etc/subuid.",),
        repaired=f"umount /etc/subuid 2>&- || true; {HELPERS}",
        near=f"mount --bind /etc/subgid /etc/subuid; {HELPERS}",
    ),
    *(
        Case(
            "MC0301",
            name=f"endless-{device}",
            prepare="private-etc",
            script=f"mount --bind /dev/{device} /etc/subgid; {HELPERS}",
            as_root=True,
            proof=("/etc/subgid is a character device and no regular file",),
            fix=("Put a regular file that grants {user} a range in the place of /etc/subgid.",),
            repaired=f"umount /etc/subgid 2>&- || true; {HELPERS}",
            # Where no map of more ids is asked for, the launch does with one.
            near=f"""mount --bind /dev/{device} /etc/subgid
                {HELPERS.replace("--id-map helpers", "")}""",
        )
        for device in ("zero", "full")
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
        "MC0303",
        name="absent",
        prepare="private-etc",
        script=f"rm /etc/subuid; ln -s nosuch /etc/subuid; {HELPERS}",
        as_root=True,
        proof=("{user} has no entry in /etc/subuid", "/etc/subuid does not exist"),
        fix=("install -m 644 /dev/null /etc/subuid", "usermod --add-subuids "),
        repaired=f"""rm /etc/subuid; ln -s nosuch /etc/subuid
            sh -ec "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"cp /etc/subuid /etc/kept; rm /etc/subuid; cp /etc/kept /etc/subuid; {HELPERS}",
    ),
    Case(
        "MC0303",
        name="namesake",
        prepare=f"private-etc; {RENAMED}",
        script=f'echo "other:x:70001:70001::/:/bin/sh" >>/etc/passwd; {HELPERS}',
        as_root=True,
        proof=("{user} has no entry in /etc/subuid", "no line that begins with {user} or {uid}"),
        fix=("usermod --add-subuids ", " --add-subgids ", " {user}"),
        repaired=f"""echo "other:x:70001:70001::/:/bin/sh" >>/etc/passwd
            sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        # A second name of the user's own number is the user to newuidmap.
        near=f"""echo "other:x:$(id -u "$USER"):$(id -g "$USER")::/:/bin/sh" >>/etc/passwd
            {HELPERS} && runuser -u "$USER" -- minictr exec "$IMAGE" \
                sh -c '[ "$(wc -l </proc/self/uid_map)" -gt 1 ]'""",
    ),
    Case(
        "MC0303",
        name="full",
        prepare="private-etc; sed -i '$a other:0:4294967295' /etc/subuid",
        script=f'sed -i "/^$USER:/d" /etc/subuid; {HELPERS}',
        as_root=True,
        proof=("{user} has no entry in /etc/subuid",),
        fix=("Take ranges of others out of /etc/subuid or /etc/subgid: ", "4294967294 is the last"),
        repaired=f"""sed -i "/^$USER:/d" /etc/subuid; {FIX_AS_USER}""",
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
