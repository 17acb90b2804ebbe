"""Chooses the rules of a profile that hold for one payload, and parts them into programs."""

from __future__ import annotations

from minictr.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.runtime.profile import Profile, Rule


def chosen(profile: Profile, machine: str, keep: bool) -> list[Rule]:
    """The rules that hold for this payload, in the profile's order."""
    unfit = "never" if keep else "only"
    rules = [r for r in profile.rules if machine in r.machines and r.kept != unfit]
    if not profile.replacing:
        return rules
    replaced = {name for r in rules if r.kept == "only" for name in r.syscalls}
    chosen = []
    for rule in rules:
        gone = set() if rule.kept == "only" else replaced
        names = tuple(name for name in rule.syscalls if name not in gone)
        chosen.append(rule.replace(syscalls=names))
    _check_verdicts(chosen)
    return chosen


def _check_verdicts(rules: list[Rule]) -> None:
    """Two verdicts without a condition for one call: one of them would be lost in silence."""
    decided: dict[str, Rule] = {}
    for rule in rules:
        for name in rule.syscalls if not rule.when else ():
            first = decided.setdefault(name, rule)
            if first.action != rule.action:
                raise Refusal(
                    "MC0503",
                    f'{rule.place}: a second verdict for "{name}"',
                    f"the first is in {first.place}",
                    f'Remove "{name}" from one of the two.',
                )


def layers(rules: list[Rule]) -> list[list[Rule]]:
    """The rules with conditions, in as many programs as it takes to part the conjunctions.

    Two conjunctions for one call that begin alike, with anything but an equality, have libseccomp
    go round in its tree for ever (2.5.4, 2.6.0): each gets a program of its own.
    """
    found: list[list[Rule]] = [[]]
    depth: dict[str, int] = {}  # of a call: how many programs have a conjunction for it
    for rule in rules:
        found[0].append(rule.replace(when=tuple(one for one in rule.when if len(one) == 1)))
        for several in (one for one in rule.when if len(one) > 1):
            for name in rule.syscalls:
                at = depth.get(name, 0)
                depth[name] = at + 1
                found += [[] for _ in range(at + 1 - len(found))]
                found[at].append(rule.replace(syscalls=(name,), when=(several,)))
    return [[rule for rule in layer if rule.when] for layer in found]
