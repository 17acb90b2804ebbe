"""The words for a filter around minictr: who has it, and who can start a launch without it."""

from __future__ import annotations

from minictr.diagnosis.probes.ancestry import Ancestor, free_ancestor
from minictr.diagnosis.probes.surroundings import container_engine, systemd_unit
from minictr.host import Host


def filters_seen(chain: tuple[Ancestor, ...]) -> tuple[str, ...]:
    """How many filters this process has, and the nearest one above that has fewer."""
    if not chain:
        return ()
    own = f"/proc/self/status: Seccomp {chain[0].seccomp}, Seccomp_filters {chain[0].filters}"
    free = free_ancestor(chain, "filters")
    if not free:
        return (f"{own}; so has every process above that can be seen",)
    return (f"{own}; {free} has {free.filters}",)


def from_outside(chain: tuple[Ancestor, ...]) -> tuple[str, ...]:
    """What the user does: start minictr from a process without the filter, where there is one."""
    free = free_ancestor(chain, "filters") if chain else None
    if not free:
        return ()
    below = chain[chain.index(free) - 1]
    through = f", not through {below}" if below is not chain[0] else ""
    return (f"Start minictr from {free}{through}: that process has not got the filter.",)


def loosened(host: Host, chain: tuple[Ancestor, ...], needed: str, setting: str) -> str:
    """What the administrator does: start the filter's owner with a filter that passes the calls.

    needed   the calls
    setting  of systemd.exec(5), for a unit
    """
    profile = f"a seccomp profile that allows {needed}"
    if not chain or free_ancestor(chain, "filters"):
        return f"Start what loads the filter with {profile}."
    engine, unit = container_engine(host), systemd_unit(host)
    if unit and not engine:
        return f"systemctl edit {unit}\nPut {setting} below [Service] there, then restart {unit}."
    option = " (--security-opt seccomp=PROFILE.json)" if engine in ("docker", "podman") else ""
    return f"Start the {engine or 'outer'} container with {profile}{option}."
