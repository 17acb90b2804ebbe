"""What stops the confinement: seccomp profiles that cannot be used, refused before the launch."""

from __future__ import annotations

from minictr.diagnosis.catalogue import refused

refused(
    "MC0501",
    "the seccomp profile cannot be read",
    """
    The file that --security seccomp:FILE names is not there, may not be read, or is neither TOML
    in minictr's form nor the JSON of the OCI and Docker. The report quotes the reader.

    Reproduction (an ordinary user):

        echo 'not a profile' >"$DIRECTORY/profile.toml"
        minictr exec --security seccomp:"$DIRECTORY/profile.toml" "$IMAGE" true

    Fix, user: name a readable profile; minictr/profiles/default.toml is one to start from.

    Fix, administrator: none is needed.

    Not the cause: the kernel, which has not been asked yet.

    Sources: the OCI runtime specification, config-linux, "Seccomp".
    """,
)
refused(
    "MC0502",
    "the seccomp profile names a system call that does not exist",
    """
    A name in the profile is that of no system call of any machine known to libseccomp or to
    minictr. Other launchers pass over it without a word, and the profile does not do what its
    author meant: a misspelt name in a list of refusals refuses nothing.

    Reproduction (an ordinary user):

        echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
          [{"names": ["mkdri"], "action": "SCMP_ACT_ERRNO"}]}' >"$DIRECTORY/profile.json"
        minictr exec --security seccomp:"$DIRECTORY/profile.json" "$IMAGE" true

    Fix, user: correct the name; the report has the place.

    Fix, administrator: none is needed.

    Not the cause: a call that is known and that this machine does not have, which is passed over.

    Sources: syscalls(2); seccomp_syscall_resolve_name(3).
    """,
)
refused(
    "MC0503",
    "the seccomp profile says something that no filter can be made of",
    """
    The file can be read, and a value in it is not one of those that have a meaning: an action, an
    operator, an architecture, an argument; or two rules contradict each other; or the filter would
    be longer than the kernel takes; or there is no filter for this machine.

    Reproduction (an ordinary user):

        echo '{"defaultAction": "SCMP_ACT_NOTHING", "syscalls": []}' >"$DIRECTORY/profile.json"
        minictr exec --security seccomp:"$DIRECTORY/profile.json" "$IMAGE" true

    Fix, user: correct the value; the report has the place and what is known there.

    Fix, administrator: none is needed.

    Not the cause: the kernel, which has not been asked yet.

    Sources: seccomp(2), EINVAL; kernel/seccomp.c, BPF_MAXINSNS.
    """,
)
refused(
    "MC0504",
    "the seccomp profile refuses a call that minictr itself needs",
    """
    The payload loads the filter on itself and then has to become the command, and to say why it
    could not. A profile without execve, or without the calls of the channel to the launcher, would
    end the launch in silence, so it is asked before it is loaded.

    Reproduction (an ordinary user):

        echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
          [{"names": ["execve"], "action": "SCMP_ACT_ERRNO"}]}' >"$DIRECTORY/profile.json"
        minictr exec --security seccomp:"$DIRECTORY/profile.json" "$IMAGE" true

    Fix, user: allow the call in the profile.

    Fix, administrator: none is needed.

    Not the cause: a filter around minictr, which is not the profile's.

    Sources: seccomp(2); execve(2).
    """,
)
refused(
    "MC0505",
    "libseccomp or pyseccomp is missing, which compile seccomp profiles",
    """
    A seccomp profile of the user's is compiled once by libseccomp, through the Python module
    pyseccomp, and the result is kept in the cache. One of the two is not installed; the report says
    which. minictr's own profiles need neither, unless somebody changed their text.

    Reproduction (root, in a private mount namespace):

        for file in $(ldconfig -p | sed -n 's/.*libseccomp.so.2.*=> //p'); do
          mount --bind /dev/null "$(readlink -f "$file")"
        done
        echo '{"defaultAction": "SCMP_ACT_ALLOW"}' >"$DIRECTORY/profile.json"
        runuser -u "$USER" -- minictr exec --security seccomp:"$DIRECTORY/profile.json" \\
          "$IMAGE" true

    Fix, user: leave the profile out; minictr's own is compiled already. Where that was changed,
    only --security seccomp:unconfined is left, which loads no filter.

    Fix, administrator: install the package libseccomp2 (Debian, Ubuntu) or libseccomp; the module
    with pip, where minictr was installed.

    Not the cause: the kernel's own seccomp, which needs no library.

    Sources: seccomp_load(3).
    """,
)
