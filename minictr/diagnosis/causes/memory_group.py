"""What stops the unpacking of an image: a control group with too little memory."""

from __future__ import annotations

from minictr.diagnosis.stories import Told, enter

_STORIES: dict[str, Told] = {
    "MC0706": (
        "the kernel ended unsquashfs for want of memory in its cgroup",
        "The cgroup that minictr runs in may have no more memory: MemoryMax= of a unit, --memory "
        "of a container, a batch job's limit. The kernel ended the program in it that used most, "
        "by SIGKILL; while an image is unpacked for the first time that is unsquashfs. The group "
        "counts what is ended so, and the count has risen while unsquashfs ran. Where the launcher "
        "itself is ended, the shell says Killed and nobody is left to explain it.",
        'head -c 180000000 /dev/urandom >"$IMAGE/large"\n'
        'mksquashfs "$IMAGE" "$DIRECTORY/large.squashfs" -noD -noF -quiet -no-progress\n'
        "in-cgroup memory memory.max 48M -- \\\n    "
        'runuser -u "$USER" -- minictr exec --unpack now "$DIRECTORY/large.squashfs" true',
        "run minictr once outside of the cgroup; the image stays unpacked in the cache.",
        "a larger limit: systemctl set-property UNIT MemoryMax=N, --memory N.",
        "a kill from outside, which raises no counter; the machine's memory, of which it may have "
        "enough; RLIMIT_AS.",
        "cgroups(7), memory; Documentation/admin-guide/cgroup-v2.rst, memory.events; mm/oom_kill.c,"
        " oom_kill_process.",
    ),
}

enter(_STORIES)
