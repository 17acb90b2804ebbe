"""Runs each fault with each peer under `minictr why`, and prints which causes were named.

why_in_peers.py MINICTR [FAULT[:PEER]...]    as root, in the root that has the peers
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).parent / "tools"
PEERS = ("unshare", "bwrap", "apptainer", "podman")
PATH = f"{TOOLS}:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
IMAGE = "/tmp/why/image"
# What a peer leaves running, podman's pause process for one, ends with the PID namespace.
ALONE = ("unshare", "--mount", "--propagation", "private", "--pid", "--mount-proc", "--kill-child")
BECOME = "setpriv --reuid tester --regid tester --init-groups"
HOME = "env HOME=/home/tester USER=tester XDG_RUNTIME_DIR=/run/user/1000"

PLAIN = {
    "unshare": "unshare -Urm true",
    "bwrap": f"bwrap --unshare-all --bind {IMAGE} / --proc /proc --dev /dev true",
    "apptainer": f"apptainer exec {IMAGE} true",
    "podman": f"podman run --rm --network none --rootfs {IMAGE} true",
}
PROC = PLAIN | {
    "unshare": "unshare -Urpf --mount-proc true",
    "apptainer": f"apptainer exec -p {IMAGE} true",
}
MANY_IDS = PLAIN | {
    "unshare": "unshare --map-auto -r true",
    "bwrap": "",
    "apptainer": f"apptainer exec --fakeroot {IMAGE} true",
}
BIND = {
    "unshare": "",
    "bwrap": PLAIN["bwrap"].replace("--dev /dev", "--dev /dev --bind /nosuch/data /tmp"),
    "apptainer": f"apptainer exec -B /nosuch/data:/tmp/x {IMAGE} true",
    "podman": PLAIN["podman"].replace("--rootfs", "-v /nosuch/data:/tmp/x --rootfs"),
}


def program(name: str) -> dict[str, str]:
    """The peers' command lines with another program in the image than true."""
    lines = {peer: line.removesuffix("true") + name for peer, line in PLAIN.items()}
    return lines | {"unshare": f"unshare -Ur -R {IMAGE} {name}"}


@dataclass(frozen=True)
class Fault:
    """What makes a fault, and the codes that are right for it.

    setup     run by root in a mount namespace of its own; $T is where the image's program lies
    around    what starts `why` as the user
    """

    codes: tuple[str, ...]
    setup: str = ""
    around: str = "$BECOME $HOME_"
    lines: dict[str, str] | None = None


LIMIT = (
    '$SELF in-userns sh -c "echo 0 >/proc/sys/user/max_{}_namespaces; exec $BECOME $HOME_ $*" -- '
)
FILTER = "filtered --refuse {} -- $BECOME $HOME_"
PRIVATE_ETC = 'cp -a /etc "$DIRECTORY/etc"; mount --bind "$DIRECTORY/etc" /etc'
T = program("/bin/t")

FAULTS = {
    "no user namespaces": Fault(("MC0201",), around=LIMIT.format("user")),
    "no mount namespaces": Fault(("MC0202",), around=LIMIT.format("mnt")),
    "no PID namespaces": Fault(("MC0202",), around=LIMIT.format("pid"), lines=PROC),
    "chroot": Fault(
        ("MC0203",),
        'mkdir "$DIRECTORY/root"; system-root "$DIRECTORY/root"',
        'chroot "$DIRECTORY/root" $BECOME $HOME_',
    ),
    "filter: user namespaces": Fault(
        ("MC0204",), around=FILTER.format("clone:user,unshare:user")
    ),
    "filter: mount namespaces": Fault(
        ("MC0204",), around=FILTER.format("clone:mnt,unshare:mnt")
    ),
    "filter: mount": Fault(("MC0406",), around=FILTER.format("mount")),
    "filter: pivot_root": Fault(("MC0406",), around=FILTER.format("pivot_root")),
    # A domain asks for no_new_privs, which is what podman meets first.
    "Landlock": Fault(("MC0408", "MC0307"), around="$BECOME $HOME_ landlocked --"),
    "unmapped ids": Fault(("MC0208",), around="$BECOME $HOME_ unshare -U"),
    "no subuid entry": Fault(
        ("MC0303",), f"{PRIVATE_ETC}; sed -i /^tester:/d /etc/subuid", lines=MANY_IDS
    ),
    "no subgid entry": Fault(
        ("MC0304",), f"{PRIVATE_ETC}; sed -i /^tester:/d /etc/subgid", lines=MANY_IDS
    ),
    "no helper": Fault(("MC0305",), "hide newuidmap newgidmap", lines=MANY_IDS),
    "helper on nosuid": Fault(
        ("MC0306",),
        "mount --bind /usr/bin/newuidmap /usr/bin/newuidmap;"
        " mount -o remount,bind,nosuid /usr/bin/newuidmap",
        lines=MANY_IDS,
    ),
    "no_new_privs": Fault(("MC0307",), around="$BECOME $HOME_ setpriv --no-new-privs",
                          lines=MANY_IDS),
    "helper not setuid": Fault(
        ("MC0308",),
        'install -m 0755 /usr/bin/newuidmap "$DIRECTORY/newuidmap";'
        ' mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap',
        lines=MANY_IDS,
    ),
    "bounding set": Fault(
        ("MC0309",), around="setpriv --bounding-set=-setuid,-setgid --reuid tester --regid tester "
        "--init-groups $HOME_", lines=MANY_IDS,
    ),
    "helper foreign": Fault(
        ("MC0314",),
        'foreign-elf /usr/bin/newuidmap "$DIRECTORY/newuidmap"; chmod 4755 "$DIRECTORY/newuidmap";'
        ' mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap',
        lines=MANY_IDS,
    ),
    "covered /proc": Fault(("MC0404",), "mount --bind /dev/null /proc/uptime", lines=PROC),
    "bind source missing": Fault(("MC0401",), lines=BIND),
    "command missing": Fault(("MC0602",), lines=program("nosuch")),
    "path missing": Fault(("MC0604",), lines=program("/bin/nosuch")),
    "dangling link": Fault(("MC0601",), "ln -s /opt/tool $T", lines=T),
    "symbolic link loop": Fault(("MC0616",), "ln -s t $T", lines=T),
    "directory": Fault(("MC0605",), "mkdir $T", lines=T),
    "not executable": Fault(("MC0606",), "cp $BUSYBOX $T; chmod 644 $T", lines=T),
    "CRLF": Fault(("MC0607",), r"printf '#!/bin/sh\r\n' >$T; chmod 755 $T", lines=T),
    "interpreter missing": Fault(
        ("MC0608",), r"printf '#!/bin/nosuch\n' >$T; chmod 755 $T", lines=T
    ),
    "ELF loader missing": Fault(("MC0609",), "cp /bin/true $T; chmod 755 $T", lines=T),
    "truncated ELF": Fault(("MC0610",), "head -c 100 /bin/true >$T; chmod 755 $T", lines=T),
    "foreign ELF": Fault(("MC0611",), "foreign-elf $BUSYBOX $T", lines=T),
    "nothing": Fault((),),
    "fails by itself": Fault((), lines=program("false")),
}  # fmt: skip

PREPARE = f"""
set -e
export PATH={PATH} DIRECTORY=/tmp/why T={IMAGE}/bin/t BUSYBOX=/usr/bin/busybox
rm -rf /run/user/1000; mkdir -p /run/user/1000; chown tester: /run/user/1000
mount -t tmpfs tmpfs /tmp; mkdir -m 755 /tmp/why; cd /home/tester
mkdir -p {IMAGE}/bin {IMAGE}/proc {IMAGE}/sys {IMAGE}/dev {IMAGE}/tmp {IMAGE}/etc {IMAGE}/var/tmp
mkdir -p {IMAGE}/root {IMAGE}/home {IMAGE}/usr {IMAGE}/run
cp $BUSYBOX {IMAGE}/bin; for name in sh true false; do ln -s busybox {IMAGE}/bin/$name; done
echo root:x:0:0::/:/bin/sh >{IMAGE}/etc/passwd
touch {IMAGE}/etc/group {IMAGE}/etc/hosts {IMAGE}/etc/resolv.conf {IMAGE}/etc/localtime
BECOME="{BECOME}" HOME_="{HOME}" SELF="{sys.executable} {__file__}"
"""


def explained(minictr: str, fault: Fault, peer: str) -> dict[str, object]:
    """What `why` answers, as its JSON object; {} where it wrote none."""
    line = (fault.lines or PLAIN)[peer]
    why = f"{minictr} why --diagnosis json -- {line}"
    script = f"{PREPARE}{fault.setup}\nchown -R tester: {IMAGE}\nexport BECOME HOME_\n"
    script += fault.around.replace("$*", why) if "$*" in fault.around else f"{fault.around} {why}"
    done = subprocess.run(
        [*ALONE, "bash", "-c", script],
        stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
        timeout=120,
    )  # fmt: skip
    lines = [text for text in done.stderr.splitlines() if text.startswith('{"')]
    answer: dict[str, object] = json.loads(lines[-1]) if lines else {"why": [done.stderr[-300:]]}
    return answer


def verdict(fault: Fault, answer: dict[str, object]) -> str:
    """One word for the table."""
    diagnosis = answer.get("diagnosis")
    code = diagnosis["code"] if isinstance(diagnosis, dict) else None
    if code is None:
        return {"own": "not refused", "differs": "differs", "succeeded": "runs"}.get(
            str(answer.get("verdict")), "NO ANSWER"
        )
    if code == "MC0000":
        return "unknown"
    return str(code) if code in fault.codes else f"WRONG {code}"


def main(minictr: str, *wanted: str) -> int:
    """Print the table; 1 where a wrong cause was named, or nothing was answered."""
    print(f"| fault | {' | '.join(PEERS)} |\n|---{'|---' * len(PEERS)}|")
    named, bad = dict.fromkeys(PEERS, 0), 0
    for name, fault in FAULTS.items():
        cells = []
        for peer in PEERS:
            chosen = not wanted or name in wanted or f"{name}:{peer}" in wanted
            cell = "-"
            if chosen and (fault.lines or PLAIN)[peer]:
                answer = explained(minictr, fault, peer)
                cell = verdict(fault, answer)
                if wanted:
                    print(json.dumps(answer, indent=1), file=sys.stderr)
            cells.append(cell)
            named[peer] += cell.startswith("MC")
            bad += cell.startswith(("WRONG", "NO ANSWER"))
        if set(cells) != {"-"}:
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print(f"| **named** | {' | '.join(str(count) for count in named.values())} |")
    return int(bad > 0)


def in_userns(command: list[str]) -> int:
    """Run a command as root of a new user namespace in which each id stands for itself."""
    import os

    ready, mapped = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
        os.write(ready[1], b"!")
        os.read(mapped[0], 1)
        os.execvp(command[0], command)
    os.read(ready[0], 1)
    for kind in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{kind}").write_text("0 0 4294967295\n")
    os.write(mapped[1], b"!")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    if sys.argv[1] == "in-userns":
        sys.exit(in_userns(sys.argv[2:]))
    sys.exit(main(*sys.argv[1:]))
