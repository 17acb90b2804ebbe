"""Faults of the steps that give privileges up and load the filter."""

from __future__ import annotations

from lab.bench import Case

PLAIN = 'minictr exec "$IMAGE" true'
PACKED = 'minictr exec "$SIF" true'
UNCONFINED = "exec --security seccomp:unconfined"
WARM = f"{PLAIN} && "  # the image is unpacked, with the calls that this takes
# A profile that has to be compiled.
ALLOWING = """echo '{"defaultAction": "SCMP_ACT_ALLOW"}' >"$DIRECTORY/profile.json\""""
WITH_IT = PLAIN.replace("exec", 'exec --security seccomp:"$DIRECTORY/profile.json"')

CASES = [
    Case(
        "MC0506",
        proof=(
            "refuses capset(2)",
            "capset(NULL, NULL), which the kernel always answers with EFAULT, is answered with E",
            "Seccomp 2",
        ),
        fix=("that process has not got the filter", "allows prctl, capset, close_range"),
        repaired=PLAIN,
        # There is a filter, and it is another call that it refuses.
        near=f"filtered --refuse setns -- {PLAIN}",
    ),
    Case(
        "MC0506",
        name="bounding-set",
        script=f"filtered --refuse prctl:PR_CAPBSET_DROP --errno ENOSYS -- {PLAIN}",
        proof=("refuses prctl(2) with PR_CAPBSET_DROP", "is answered with ENOSYS"),
        repaired=PLAIN,
        near=f"filtered --refuse prctl:PR_CAPBSET_DROP --errno EINVAL -- {PLAIN}",
        instead="MC0000",
    ),
    Case(
        "MC0506",
        name="pretended",
        script=f"filtered --refuse prctl:PR_CAPBSET_DROP --errno 0 -- {PLAIN}",
        proof=("only pretends to carry out prctl(2) with PR_CAPBSET_DROP", "with success"),
        repaired=PLAIN,
        near=f"filtered --refuse setns --errno 0 -- {PLAIN}",
    ),
    Case(
        "MC0506",
        name="no-new-privs",
        script=f"filtered --refuse prctl:PR_SET_NO_NEW_PRIVS -- {PLAIN}",
        proof=("refuses prctl(2) with PR_SET_NO_NEW_PRIVS",),
        repaired=PLAIN,
        near=f"setpriv --no-new-privs {PLAIN}",
    ),
    Case(
        "MC0506",
        name="channel",
        script=f"filtered --refuse setsockopt -- {PLAIN}",
        proof=("refuses setsockopt(2)", "setsockopt(-1, SOL_SOCKET, SO_PASSCRED), which"),
        fix=("setsockopt, socketpair and seccomp",),
        repaired=PLAIN,
        near=f"filtered --refuse setsockopt --errno EBADF -- {PLAIN}",
        instead="MC0000",
    ),
    Case(
        "MC0506",
        name="everything",
        script=f"filtered --refuse prctl -- {PLAIN}",
        proof=("refuses prctl(2) with PR_GET_DUMPABLE",),
        repaired=PLAIN,
        near=f"filtered --refuse clone:user -- {PLAIN}",
        instead="MC0204",
    ),
    Case(
        "MC0506",
        name="umask",
        script=f"filtered --refuse umask -- {PLAIN}",
        proof=("refuses umask(2)",),
        repaired=PLAIN,
        near=f"filtered --refuse setns -- {PLAIN}",
    ),
    *(
        Case(
            "MC0506",
            name=f"locks-{number}",
            script=f"filtered --refuse flock --errno {number} -- {PACKED}",
            proof=("cannot be locked", "refuses flock(2)", f"is answered with {number}"),
            fix=("that process has not got the filter", "allows flock"),
            repaired=PACKED,
            near=f"filtered --refuse flock --errno {number} -- {PLAIN}",  # a directory needs none
        )
        for number in ("EPERM", "ENOSYS", "EAGAIN")
    ),
    Case(
        "MC0507",
        name="compiling",
        script=f"{ALLOWING}; filtered --refuse seccomp -- {WITH_IT}",
        proof=("refuses to load another one", "seccomp(SECCOMP_GET_ACTION_AVAIL)"),
        fix=("Start minictr from outside",),
        repaired=f"{ALLOWING}; {WITH_IT}",
        near=f"{ALLOWING}; stacked 2048 -- {WITH_IT}",
    ),
    Case(
        "MC0507",
        proof=("refuses seccomp(2)", "always answers with EINVAL, is answered with EPERM"),
        fix=("that process has not got the filter",),
        repaired=PLAIN,
        # It refuses the call, which this launch does not make.
        near=f"filtered --refuse seccomp -- {PLAIN.replace('exec', UNCONFINED)}",
    ),
    Case(
        "MC0508",
        proof=("ends a process that calls capset(2)", "ends a child with SIGSYS"),
        fix=("that process has not got the filter",),
        repaired=PLAIN,
        near=f"filtered --refuse capset -- {PLAIN}",
        instead="MC0506",
    ),
    Case(
        "MC0508",
        name="close-range",
        script=f"{WARM} filtered --refuse close_range --errno KILL -- {PLAIN}",
        proof=("ends a process that calls close_range(2)",),
        repaired=PLAIN,
        # minictr does without the call where it is refused.
        near=f"filtered --refuse close_range --errno ENOSYS -- {PLAIN}",
    ),
    Case(
        "MC0508",
        name="seccomp",
        script=f"{WARM} filtered --refuse seccomp --errno KILL -- {PLAIN}",
        proof=("ends a process that calls seccomp(2)",),
        repaired=PLAIN,
        near=f"{WARM} filtered --refuse seccomp --errno EACCES -- {PLAIN}",
        instead="MC0507",
    ),
    Case(
        "MC0509",
        proof=("leave no room for its own of ", "and none of ", "Seccomp_filters "),
        fix=("that process has not got the filter",),
        repaired=PLAIN,
        near=f"stacked 1024 -- {PLAIN}",
    ),
    Case(
        "MC0509",
        name="forged",
        script=f"{WARM} stacked 128 -- {PLAIN}",
        proof=("leave no room",),
        repaired=PLAIN,
        # The same errno, from a filter.
        near=f"{WARM} filtered --refuse seccomp --errno ENOMEM -- {PLAIN}",
        instead="MC0507",
    ),
]
