"""What keeps minictr from beginning: no /proc that shows its own process, no /dev/null."""

from __future__ import annotations

from minictr.diagnosis.stories import Told, enter

_STORIES: dict[str, Told] = {
    "MC0129": (
        "/proc does not show this process",
        "The caller's environment, the id maps and most of what is known of a process are read "
        "and written in /proc. Nothing is mounted there, or the procfs there belongs to a PID "
        "namespace in which this process has no number, as after entering the mounts of a "
        "container without its processes.",
        "unshare -Urmpf sh -c 'mount -t tmpfs none /proc; minictr exec \"$IMAGE\" true'",
        "where you are root of a user namespace: start minictr by unshare --pid --fork "
        "--mount-proc, which mounts a procfs of its own.",
        "mount -t proc proc /proc, where minictr is started.",
        "user namespaces: none was asked for yet; hidepid, which hides other users' processes and "
        "never one's own.",
        "proc(5); fs/proc/self.c, proc_setup_self and proc_self_get_link.",
    ),
    "MC0802": (
        "/dev/null cannot be opened",
        "minictr opens /dev/null first, so that no file of its own takes the number of a standard "
        "stream that the caller closed, and binds it into the container later. It is missing; or a "
        "program that wrote a file anew has put a regular file in its place; or its mode or a "
        "nodev mount closes it.",
        "changeable-dev && rm /dev/null\n"
        'runuser -u "$USER" -- minictr exec "$IMAGE" true',
        "none: only root makes devices.",
        "make the device again; the report has the command.",
        "the image, which brings no devices.",
        "null(4); mknod(2); Documentation/admin-guide/devices.txt.",
    ),
}  # fmt: skip

enter(_STORIES)
