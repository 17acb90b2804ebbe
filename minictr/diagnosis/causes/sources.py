"""What stops the id maps: a source of subordinate ids other than the files."""

from __future__ import annotations

from minictr.diagnosis.again import with_single_map
from minictr.diagnosis.catalogue import cause
from minictr.diagnosis.interview import Interview
from minictr.diagnosis.probes.helpers import CAPABILITY, GRANTS
from minictr.diagnosis.probes.subid_source import other_source
from minictr.diagnosis.values import Excluded, Proof, Verdict


@cause(
    "MC0329",
    "newuidmap asks another source than /etc/subuid, and it grants no range",
    stops=("MapIds",),
)
def other(interview: Interview) -> Verdict:
    """/etc/nsswitch.conf has a line `subid:` that names a source other than the files, sss as a
    rule. newuidmap(1) and newgidmap(1) ask that one alone then, and it does not grant the user the
    range which /etc/subuid has, and which minictr asked for.

    Reproduction (root; subid-source is in tests/lab/tools):

        private-etc
        subid-source lab 0
        echo 'subid: lab' >>/etc/nsswitch.conf
        runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true

    Fix, user: --id-map single, where one id is enough.

    Fix, administrator: have the source grant a range (FreeIPA: ipa subid-generate --owner USER) and
    write the same into /etc/subuid; or have the files asked: subid: files.

    Not the cause: the line of /etc/subuid, which is right; a source that the helpers pass over, for
    it has no library, as `subid: sss` without SSSD, or one that lacks a function of theirs, as
    libraries from before shadow 4.17 lack shadow_subid_free: they name the library then.

    Sources: nsswitch.conf(5); newuidmap(1); shadow, lib/nss.c, nss_init.
    """
    failure = interview.failure
    if failure.call not in CAPABILITY or "not allowed" not in failure.said:
        return None
    name, library = interview.once(other_source, interview.host)
    if not name:
        return Excluded("/etc/nsswitch.conf has no line `subid:` with another source than files")
    if f"libsubid_{name}.so" in failure.said:
        return Excluded(f"{failure.call} complains of the library of {name} and asks the files")
    return Proof(
        f"{failure.call} asks the source {name} and not /etc/{GRANTS[failure.call][1]}, and it "
        "does not grant the range",
        (f"/etc/nsswitch.conf: subid: {name}; {library.rpartition('/')[2]} is there", failure.said),
        fix_user=with_single_map(interview.request),
        fix_administrator="sed -i 's/^subid:.*/subid: files/' /etc/nsswitch.conf\n"
        f"Or have {name} grant a range, and write the same one into the files.",
    )
