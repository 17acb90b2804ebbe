"""Faults that can be put together: what makes each, and where in a launch the kernel meets it."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

LIMITED = "sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec \"$@\"' sh"
COPY = """cp -p /usr/bin/newuidmap "$DIRECTORY/newuidmap"
mount --bind "$DIRECTORY/newuidmap" /usr/bin/newuidmap"""
SETUID = "chmod u+s /usr/bin/newuidmap"
COVERED = """unshare -Urm sh -c 'mount --bind /dev/null /proc/uptime; exec "$@"' sh"""
READ_ONLY = "sh -c 'mount -o remount,bind,ro /proc; exec \"$@\"' sh"
ETC = '[ -e "$DIRECTORY/etc" ] || private-etc'


@dataclass(frozen=True)
class Fault:
    """One fault of a launch.

    rank     the order in which a launch comes to it
    slot     what it takes up: of two faults with one slot only one can be there
    setup    run first by whoever makes the fault
    prepare  the same, for root in a mount namespace of his own
    root     the wrapper that root starts, before he becomes the user
    user     the wrapper that the user starts; the one for a fault that root makes otherwise
    alone    what the user makes takes the ids or the privilege from newuidmap
    depth    wrappers with a smaller one are started first
    become   options of setpriv(1), which makes root the user
    group    the group that the user gets
    helpers  whether the launch asks for newuidmap
    late     codes which come first although their rank is higher
    """

    code: str
    rank: int
    slot: str
    setup: str = ""
    prepare: str = ""
    root: str = ""
    user: str = ""
    alone: bool = False
    depth: int = 0
    become: str = ""
    group: str = ""
    options: str = ""
    command: str = ""
    helpers: bool = False
    late: tuple[str, ...] = ()

    @property
    def of_root(self) -> bool:
        """Whether root makes it, where he makes one of the two."""
        return bool(self.prepare or self.root or self.become or self.group)

    @property
    def by_root(self) -> bool:
        """Whether only root can make it."""
        return self.of_root and not self.user


def subids(code: str, rank: int, kind: str, change: str) -> Fault:
    return Fault(code, rank, kind, prepare=f"{ETC}\n{change}", helpers=True)


def newuidmap(code: str, rank: int, change: str) -> Fault:
    return Fault(code, rank, "newuidmap", prepare=change, helpers=True)


def refused(code: str, rank: int, call: str, options: str = "") -> Fault:
    wrapper = f"filtered --refuse {call} --"
    return Fault(
        code, rank, call, root=wrapper, user=wrapper, alone=True, depth=9, options=options
    )  # fmt: skip


FAULTS = (
    subids("MC0301", 1, "subuid", "chmod 0600 /etc/subuid"),
    subids("MC0302", 1, "subuid", 'echo "$USER:100000" >/etc/subuid'),
    subids("MC0303", 1, "subuid", ": >/etc/subuid"),
    subids("MC0334", 1, "subuid", 'echo "$USER:100000:0" >/etc/subuid'),
    subids("MC0304", 2, "subgid", ": >/etc/subgid"),
    refused("MC0204", 20, "clone:user"),
    Fault(
        "MC0201", 21, "limit", alone=True,
        root=f"within 0:0:4294967295 root {LIMITED}", user=f"unshare -Ur {LIMITED}", depth=2,
    ),
    Fault(
        "MC0203", 23, "chroot", depth=3,
        prepare='system-root "$CHROOT"', root='chroot "$CHROOT"',
    ),
    newuidmap("MC0305", 30, "hide newuidmap"),
    newuidmap("MC0311", 30, f"{COPY}; mount -o remount,bind,noexec /usr/bin/newuidmap"),
    newuidmap("MC0312", 30, f"{COPY}; chmod 4750 /usr/bin/newuidmap"),
    newuidmap("MC0313", 30, f"{COPY}; : >/usr/bin/newuidmap; chmod 4755 /usr/bin/newuidmap"),
    Fault("MC0328", 10, "proc", root="unshare --pid --fork", depth=4),
    Fault("MC0331", 35, "group", group="daemon", helpers=True),
    Fault(
        "MC0327", 38, "proc", root=f"unshare --mount --propagation unchanged {READ_ONLY}",
        depth=4,
        late=("MC0310", "MC0318", "MC0320"),
    ),
    newuidmap("MC0306", 40, f"{COPY}; mount -o remount,bind,nosuid /usr/bin/newuidmap"),
    Fault(
        "MC0307", 41, "nnp", become="--no-new-privs", user="setpriv --no-new-privs", depth=6,
        helpers=True,
    ),
    newuidmap("MC0308", 42, f"{COPY}; chmod u-s /usr/bin/newuidmap"),
    newuidmap("MC0318", 43, f"{COPY}; chown daemon /usr/bin/newuidmap; {SETUID}"),
    Fault("MC0323", 44, "tracer", user="traced", depth=5, helpers=True),
    newuidmap("MC0320", 45, f"{COPY}; setcap = /usr/bin/newuidmap; {SETUID}"),
    Fault("MC0310", 47, "bits", become="--securebits=+noroot", helpers=True),
    refused("MC0407", 50, "sethostname", "--hostname inside"),
    refused("MC0801", 51, "ioctl:SIOCSIFFLAGS", "--net --network none"),
    refused("MC0406", 55, "pivot_root"),
    Fault(
        "MC0404", 60, "cover", prepare="mount --bind /dev/null /proc/uptime", alone=True,
        user=COVERED, depth=1,
    ),
    Fault("MC0401", 61, "bind", options='--bind "$DIRECTORY/nosuch:/data"'),
    Fault("MC0403", 61, "bind", options='--bind "$DIRECTORY:/bin/busybox"'),
    Fault("MC0405", 70, "pwd", options="--pwd /srv/nosuch"),
    Fault("MC0602", 80, "command", command="nosuch"),
    Fault("MC0604", 80, "command", command="/nosuch/tool"),
    Fault("MC0605", 80, "command", command="/bin"),
    Fault(
        "MC0608", 80, "command", command="greet",
        setup="""printf '#!/usr/bin/nosuch\\n' >"$IMAGE/bin/greet"
            chmod 0755 "$IMAGE/bin/greet" """,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Two faults at once, the one that a launch meets first in front."""

    first: Fault
    second: Fault

    def __str__(self) -> str:
        return f"{self.first.code}-{self.second.code}"

    @property
    def by_root(self) -> bool:
        both = (self.first, self.second)
        apart = any(fault.alone for fault in both) and any(fault.helpers for fault in both)
        return apart or any(fault.by_root for fault in both)

    def script(self) -> str:
        """What makes both and launches."""
        faults = sorted((self.first, self.second), key=lambda fault: fault.depth)
        group = next((fault.group for fault in faults if fault.group), "$USER")
        become = f'setpriv --reuid="$USER" --regid="$(id -g "{group}")" --init-groups'
        become = " ".join([become, *(fault.become for fault in faults)])
        words = [fault.root for fault in faults] + [become] if self.by_root else []
        words += [fault.user for fault in faults if not (self.by_root and fault.of_root)]
        ids = "helpers" if any(fault.helpers for fault in faults) else "single"
        command = next((fault.command for fault in faults if fault.command), "true")
        words += [f"minictr exec --id-map {ids}", *(fault.options for fault in faults)]
        words += [f'"$IMAGE" {command}']
        lines = [fault.setup for fault in faults]
        lines += [fault.prepare for fault in faults] if self.by_root else []
        return "\n".join([*(line for line in lines if line), " ".join(words)])


def pairs(as_root: bool) -> list[Pair]:
    """All pairs that can be made by whoever runs the tests."""
    found = []
    for one, other in itertools.combinations(FAULTS, 2):
        if one.slot == other.slot:
            continue
        first, second = sorted((one, other), key=lambda fault: fault.rank)
        if second.code in first.late:
            first, second = second, first
        found.append(Pair(first, second))
    return [pair for pair in found if as_root or not pair.by_root]


def drawn(seed: int, count: int, as_root: bool) -> list[Pair]:
    """So many of them, at random."""
    all_pairs = pairs(as_root)
    return random.Random(seed).sample(all_pairs, min(count, len(all_pairs)))
