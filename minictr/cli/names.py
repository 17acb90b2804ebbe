"""What differs between minictr's own name and the names it stands in for, in one table."""

from __future__ import annotations

from minictr.value import Value


class Name(Value):
    """A name the program is called by, with everything that depends on it.

    namespaces         made unless an option says otherwise; user and mount always are
    close_descriptors  whether descriptors above 2 are closed before the payload starts
    seccomp            the profile of a launch that names none
    id_map             how ids are mapped without --fakeroot: "auto" or "single"
    command_first      run, image without a runscript of its own: execute the command (True),
                       or do what its default runscript says (False)
    init_name          what PID 1 calls itself
    usage_status       exit status of a command line that cannot be read
    failure_status     exit status of a launcher that fails
    not_executable_status, not_found_status   of a command that cannot be executed, or found
    ends_alike         whether a signal that ended the command ends the launcher, too, where there
                       is no PID 1 to turn it into an exit status
    """

    program: str
    drop_in: bool
    namespaces: tuple[str, ...]
    close_descriptors: bool
    seccomp: str
    id_map: str
    command_first: bool
    init_name: str
    usage_status: int
    failure_status: int
    not_executable_status: int
    not_found_status: int
    ends_alike: bool


MINICTR = Name(
    program="minictr",
    drop_in=False,
    namespaces=("pid", "ipc", "uts"),
    close_descriptors=True,
    seccomp="default",
    id_map="auto",
    command_first=True,
    init_name="minictr:init",
    usage_status=125,
    failure_status=125,
    not_executable_status=126,
    not_found_status=127,
    ends_alike=False,
)

# What their clients rely on: MPI start-up inherits descriptors and shares the host's namespaces,
# workflow engines tell a failing launcher (255) from a failing job by the status, and schedulers
# what was killed from what gave up: apptainer's own process becomes the command.
APPTAINER = Name(
    program="apptainer",
    drop_in=True,
    namespaces=(),
    close_descriptors=False,
    seccomp="compat",
    id_map="single",
    command_first=False,
    init_name="appinit",
    usage_status=1,
    failure_status=255,
    not_executable_status=255,
    not_found_status=255,
    ends_alike=True,
)

DROP_IN_NAMES = ("singularity", "apptainer", "run-singularity")


def named(called_as: str) -> Name:
    """The row of the table for the last component of argv[0]; an unknown name is our own."""
    if called_as not in DROP_IN_NAMES:
        return MINICTR
    return APPTAINER.replace(program=called_as)


def differences() -> tuple[tuple[str, object, object], ...]:
    """What differs: (field, its value under minictr, its value under the drop-in names)."""
    return tuple(
        (field, getattr(MINICTR, field), getattr(APPTAINER, field))
        for field in Name.fields
        if field not in {"program", "drop_in"}
    )
