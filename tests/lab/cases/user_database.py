"""Faults of the id maps: a caller whose name is not to be had."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import CAPABLE_HELPERS, FIX_AS_USER, HELPERS, MANY

SINGLE = "minictr exec --id-map single "
# What makes root the user without a look into the user database.
BY_NUMBER = 'become="setpriv --reuid=$(id -u "$USER") --regid=$(id -g "$USER") --clear-groups"'

CASES = [
    Case(
        "MC0330",
        prepare="private-etc",
        proof=("uid 70001 has no entry in the user database", "getpwuid(70001) finds nothing"),
        fix=("echo user70001:x:70001:70001::/:/bin/sh >>/etc/passwd", SINGLE),
        repaired=f"""echo 70001:700000:65536 | tee -a /etc/subuid >>/etc/subgid
            become="env HOME=/ setpriv --reuid=70001 --regid=70001 --clear-groups"
            chmod 0777 "$MINICTR_CACHEDIR"
            $become sh -c "$USER_FIX" && sh -c "$ADMINISTRATOR_FIX" && $become {MANY}""",
        near=f'sed -i "s/^$USER:/$(id -u "$USER"):/" /etc/subuid /etc/subgid; {HELPERS}',
    ),
    Case(
        "MC0330",
        name="sources",
        prepare=f"private-etc; {BY_NUMBER}",
        script=f"sed -i 's/^passwd:.*/passwd: nosuch/' /etc/nsswitch.conf; $become {MANY}",
        as_root=True,
        proof=(
            "uid {uid} has no entry in the user database",
            "passwd: nosuch; these were asked",
            "/etc/passwd has a line for uid {uid}, and is not asked",
        ),
        fix=("sed -i 's/^passwd:/passwd: files/' /etc/nsswitch.conf", SINGLE),
        repaired=f"""sed -i 's/^passwd:.*/passwd: nosuch/' /etc/nsswitch.conf
            $become sh -c "$USER_FIX" && sh -c "$ADMINISTRATOR_FIX" && $become {MANY}""",
        near=f"sed -i 's/^passwd:.*/passwd: nosuch files/' /etc/nsswitch.conf; $become {MANY}",
    ),
    Case(
        "MC0330",
        name="missing",
        prepare=f"private-etc; {BY_NUMBER}",
        script=f"rm /etc/passwd; $become {MANY}",
        as_root=True,
        proof=("uid {uid} has no entry in the user database",),
        fix=("echo user{uid}:x:{uid}:", "echo {uid}:", ">>/etc/subuid", ">>/etc/subgid", SINGLE),
        repaired=f"""rm /etc/passwd
            $become sh -c "$USER_FIX" && sh -ec "$ADMINISTRATOR_FIX" && $become {MANY}""",
        near=f"sed -i /^$USER:/d /etc/subuid; $become {MANY}",
        instead="MC0303",
    ),
    Case(
        "MC0336",
        prepare="private-etc",
        proof=(
            "the name of uid {uid} is not known: the user may not read /etc/passwd",
            "open(/etc/passwd): EACCES; owner 0, mode 0600",
            "/etc/subuid has lines that begin with names, and none with {uid}",
        ),
        fix=("chmod 644 /etc/passwd", SINGLE),
        repaired=f"""chmod 0600 /etc/passwd
            {FIX_AS_USER} && sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        near=f"""chmod 0600 /etc/passwd
            sed -i "s/^$USER:/$(id -u "$USER"):/" /etc/subuid /etc/subgid; {HELPERS}""",
    ),
    Case(
        "MC0336",
        name="lines",
        prepare="private-etc",
        script=f"chmod 0600 /etc/passwd; sed -i '/^[0-9]/d' /etc/subuid; {HELPERS}",
        as_root=True,
        proof=("the name of uid {uid} is not known",),
        repaired=f"""chmod 0600 /etc/passwd; sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        # Without a name in the files there is nothing that could be the user's.
        near=f"chmod 0600 /etc/passwd; : >/etc/subuid; : >/etc/subgid; {HELPERS}",
        instead="MC0303",
    ),
    Case(
        "MC0336",
        name="capable",
        prepare=f"""private-etc; {CAPABLE_HELPERS}
            sed -i "s/^$USER:/$(id -u "$USER"):/" /etc/subuid /etc/subgid""",
        script=f"chmod 0600 /etc/passwd; {HELPERS}",
        as_root=True,
        proof=("the name of uid {uid} is not known", "getpwuid({uid}) finds nothing"),
        fix=("chmod 644 /etc/passwd",),
        repaired=f"""chmod 0600 /etc/passwd; sh -c "$ADMINISTRATOR_FIX" && {HELPERS}""",
        # A helper that is setuid root has read it, and found no such user.
        near=f"""chmod 0600 /etc/passwd; chmod 0777 "$MINICTR_CACHEDIR"
            chmod 4755 /usr/bin/newuidmap /usr/bin/newgidmap
            echo 70001:700000:65536 | tee -a /etc/subuid >>/etc/subgid
            HOME=/ setpriv --reuid=70001 --regid=70001 --clear-groups {MANY}""",
        instead="MC0330",
    ),
]
