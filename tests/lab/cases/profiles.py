"""Faults of seccomp profiles, which are refused before any step."""

from __future__ import annotations

from lab.bench import Case

RUN = 'minictr exec --security seccomp:"$DIRECTORY/profile.json" "$IMAGE" true'
OWN_PROFILE = f'runuser -u "$USER" -- {RUN}'
NO_LIBSECCOMP = """for file in $(ldconfig -p | sed -n 's/.*libseccomp.so.2.*=> //p'); do
              mount --bind /dev/null "$(readlink -f "$file")"
            done"""


def profile(name: str, action: str = "SCMP_ACT_ERRNO", default: str = "SCMP_ACT_ALLOW") -> str:
    """Write a profile that has this action for one system call, and launch with it."""
    text = (
        f'{{"defaultAction": "{default}", "syscalls": '
        f'[{{"names": ["{name}"], "action": "{action}"}}]}}'
    )
    return f"echo '{text}' >\"$DIRECTORY/profile.json\"; {RUN}"


CASES = [
    Case(
        "MC0501",
        proof=("{directory}/profile.toml",),
        repaired='minictr exec --security seccomp:default "$IMAGE" true',
        near=profile("mkdir"),
    ),
    Case(
        "MC0502",
        proof=("mkdri", "{directory}/profile.json"),
        fix=("{directory}/profile.json: syscalls[0]",),
        repaired=profile("mkdir"),
        near=profile("socketcall"),  # of another machine's calls
    ),
    Case(
        "MC0503",
        proof=("SCMP_ACT_NOTHING", "{directory}/profile.json"),
        fix=("{directory}/profile.json",),
        repaired=profile("mkdir"),
        near=profile("mkdir", "SCMP_ACT_LOG"),
    ),
    Case(
        "MC0503",
        name="personality",
        script=profile("mkdir", "SCMP_ACT_NOTHING"),
        proof=("SCMP_ACT_NOTHING",),
        repaired=profile("mkdir"),
        # uname(2) names the 32-bit machine then, and the programs are 64-bit ones.
        near='setarch linux32 true || exit 77; setarch linux32 minictr exec "$IMAGE" true && '
        'setarch linux32 minictr exec "$SIF" true',
    ),
    Case(
        "MC0504",
        proof=("execve", "{directory}/profile.json"),
        fix=("Allow execve in {directory}/profile.json",),
        repaired=profile("execve", "SCMP_ACT_ALLOW"),
        near=profile("mkdir"),
    ),
    Case(
        "MC0505",
        proof=("libseccomp",),
        fix=("libseccomp2", "Leave the profile out"),
        repaired=f"""{NO_LIBSECCOMP}
            runuser -u "$USER" -- minictr exec "$IMAGE" true""",
        # The library is missing as well, and the compiled filter is in the cache.
        near=f"""echo '{{"defaultAction": "SCMP_ACT_ALLOW"}}' >"$DIRECTORY/profile.json"
            sleep 0.1
            {OWN_PROFILE}
            {NO_LIBSECCOMP}
            {OWN_PROFILE}""",
    ),
]
