"""Which causes can be asked for about another program, and what has to hold for their probes.

The probes were written for our own launches: most of them look at this machine and at this process,
from which the other program has inherited what it has. Where it has changed that since, the probe
would look at the wrong thing; such a cause stays open. A cause that is not in the table reads what
only a launch of our own has, and is not asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from minictr.diagnosis import hear
from minictr.diagnosis.catalogue import UNKNOWN, entry_of, stopping
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.command import candidates
from minictr.diagnosis.probes.walk import walk
from minictr.diagnosis.values import Cause, Diagnosis, Excluded, Proof, Unknown, Verdict
from minictr.diagnosis.watch.standing import UNHELD, Standing
from minictr.runtime.privileges import has_no_new_privileges

Need = Callable[[Standing, Interview], str]  # "" where it holds, else why it does not


def unfiltered(place: Standing, _: Interview) -> str:
    """Whether no filter of the program's own may have answered."""
    if place.filters is None:
        return UNHELD
    own = "the process that failed has loaded a seccomp filter of its own, which may have answered"
    return own if place.filters else ""


def in_our_user_namespace(place: Standing, _: Interview) -> str:
    """Whether it made or entered no user namespace."""
    if place.user is None:
        return UNHELD
    return "" if place.user else "the process that failed is in another user namespace"


def at_our_root(place: Standing, _: Interview) -> str:
    """Whether paths lead it where they lead us."""
    if place.root is None:
        return UNHELD
    return "" if place.root else "the process that failed has another root directory"


def in_its_own_pids(place: Standing, _: Interview) -> str:
    """Whether it may mount a proc, as our own first process may."""
    if place.pids is None or place.user is None:
        return UNHELD
    own = "the process that failed is not in PID and user namespaces of its own"
    return own if place.pids or place.user else ""


def user_wanted(_: Standing, interview: Interview) -> str:
    """Whether the call was to make a user namespace: without one it takes CAP_SYS_ADMIN."""
    wanted = "user" in interview.plan.enter[0].__dict__["kinds"]
    return "" if wanted else "the call was not to make a user namespace"


def as_bound_as_we(place: Standing, _: Interview) -> str:
    """Whether no_new_privs, where the program has it, was set before it was started."""
    itself = place.bound and not has_no_new_privileges()
    own = "the program has set no_new_privs itself, which takes their privilege from the helpers"
    return own if itself else ""


def sees_the_same(place: Standing, interview: Interview) -> str:
    """Whether the source of a bind leads the program where it leads us."""
    if place.root:
        return ""
    witness, source = interview.failure.witness, str(interview.failure.step.__dict__["source"])
    if not witness or place.root is None:
        return UNHELD
    here, there = walk("", source), walk(f"/proc/{witness}/root", source)
    same = (here.errno, here.reached, here.name) == (there.errno, there.reached, there.name)
    return "" if same else "the process that failed sees other files at that path"


def with_our_rights(place: Standing, interview: Interview) -> str:
    """Whether what denies execution to us denies it to the program, too."""
    root = f"/proc/{interview.failure.witness}/root"
    files = [found for found in candidates(interview, root) if found.is_file()]
    closed = bool(files) and not files[0].is_program()  # to everybody
    if closed or place.unprivileged:
        return ""
    return "the process that failed has other rights than this one"


def held(place: Standing, _: Interview) -> str:
    """Whether it stood still, so that its files could be looked at."""
    return UNHELD if place.root is None else ""


# A limit on namespaces counts in every user namespace below ours, and so does a filter of ours.
_LIMITS = (unfiltered,)
_OURS = (unfiltered, in_our_user_namespace)
_CALLER = (user_wanted, unfiltered, in_our_user_namespace, at_our_root)
_ASKED: dict[str, tuple[Need, ...]] = {
    "MC0201": (user_wanted, unfiltered), "MC0202": _LIMITS, "MC0203": _CALLER, "MC0204": _LIMITS,
    "MC0205": _OURS, "MC0206": (user_wanted, *_OURS), "MC0207": _OURS,
    "MC0208": _CALLER, "MC0209": _CALLER, "MC0411": _CALLER, "MC0701": _OURS, "MC0702": _OURS,
    "MC0221": (unfiltered,), "MC0222": (unfiltered,), "MC0223": (in_our_user_namespace,),
    # The helpers are run by this process, or by one that stands where it does.
    "MC0301": (), "MC0302": (), "MC0303": (), "MC0304": (), "MC0305": (), "MC0306": (),
    "MC0307": (as_bound_as_we,), "MC0308": (), "MC0309": (), "MC0310": (),
    "MC0401": (sees_the_same,), "MC0402": (sees_the_same,),
    "MC0404": (unfiltered, in_its_own_pids),
    "MC0406": (unfiltered,), "MC0407": (unfiltered,), "MC0408": (unfiltered,),
    "MC0601": (held,), "MC0602": (held,), "MC0604": (held,), "MC0605": (held,),
    "MC0606": (held, with_our_rights), "MC0607": (held,), "MC0608": (held,), "MC0609": (held,),
    "MC0610": (held,), "MC0611": (held,), "MC0615": (held,), "MC0616": (held,),
    "MC0617": (held,), "MC0618": (held, with_our_rights), "MC0619": (held,), "MC0620": (held,),
    "MC0621": (held, with_our_rights), "MC0622": (held, with_our_rights), "MC0623": (held,),
    "MC0624": (held,), "MC0625": (held,), "MC0626": (held,), "MC0627": (held,), "MC0628": (held,),
    "MC0629": (held,), "MC0630": (held,),
}  # fmt: skip


def ask_causes(interview: Interview, place: Standing, known: Diagnosis) -> Diagnosis:
    """`known` with the first cause that the facts prove; without one, what was ruled out."""
    ruled_out, still_open = [], []
    for entry in stopping(interview.failure.step.verb()):
        verdict = _verdict(entry, interview, place)
        if isinstance(verdict, Proof):
            return known.replace(code=entry.code, title=entry.title, proof=verdict)
        if isinstance(verdict, Excluded):
            ruled_out.append((entry.code, entry.title, verdict.how))
        if isinstance(verdict, Unknown):
            still_open.append((entry.code, entry.title, verdict.why))
    unknown = entry_of(UNKNOWN)
    assert unknown
    return known.replace(
        code=UNKNOWN,
        title=unknown.title,
        ruled_out=tuple(ruled_out),
        still_open=tuple(still_open),
        could_not_look=interview.unseen,
    )


def _verdict(entry: Cause, interview: Interview, place: Standing) -> Verdict:
    needs = _ASKED.get(entry.code)
    if needs is None:
        return None
    verdict = hear(entry, interview)
    missing = next((why for need in needs if (why := need(place, interview))), "")
    decided = isinstance(verdict, Proof | Excluded)
    if missing and decided and (not entry.errnos or interview.failure.errno in entry.errnos):
        return Unknown(missing)
    return verdict
