"""The options, one row each: what they are called, what they take, which variables set them.

A row is (name, shorthand, kind, variables, argument, text):

name        the long name, under which the value is kept
kind        bool    true unless =false follows
            string  the last one counts
            number  a decimal number from 0 on
            list    repeated or separated by commas
            array   repeated; a comma belongs to the value
            map     KEY=VALUE, repeated or separated by commas
variables   without prefix: BIND stands for MINICTR_BIND, APPTAINER_BIND and SINGULARITY_BIND
argument    what --help calls the value
text        the line of --help, or why the option is accepted without effect, or is refused

The meaning of a value is given to it in compose.py.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    Row = tuple[str, str, str, str, str, str]
    Table = tuple[Row, ...]

NAME, SHORT, KIND, VARIABLES, ARGUMENT, TEXT = range(6)

# Prefixes of the variables; where two set the same option, the earlier prefix wins.
PREFIXES = ("MINICTR", "APPTAINER", "SINGULARITY")

# fmt: off
GLOBAL: Table = (
    ("debug", "d", "bool", "DEBUG", "", "say everything"),
    ("verbose", "v", "bool", "VERBOSE", "", "say which choices are made"),
    ("quiet", "q", "bool", "QUIET", "", "say warnings and errors alone"),
    ("silent", "s", "bool", "SILENT", "", "say errors alone"),
    ("nocolor", "", "bool", "NOCOLOR", "", "accepted: no message is coloured"),
    ("config", "c", "string", "CONFIG_FILE", "FILE",
     "read FILE, not ~/.config/minictr/config.toml"),
    ("version", "", "bool", "", "", "print the version"),
    ("help", "h", "bool", "", "", "print this help"),
)

ACTION: Table = (
    ("bind", "B", "array", "BIND BINDPATH", "SPEC",
     "SOURCE[:TARGET[:ro|rw]][,...]: show a file or directory of the host inside"),
    ("mount", "", "array", "MOUNT", "SPEC",
     "the same as type=bind,source=SOURCE,destination=TARGET[,ro]"),
    ("pwd", "", "string", "PWD TARGET_PWD CWD TARGET_CWD", "DIR", "where to start; also --cwd"),
    ("home", "H", "string", "HOME", "SOURCE[:TARGET]", "the home directory, and its place inside"),
    ("no-home", "", "bool", "NO_HOME", "",
     "do not mount the home directory, but for the working directory where that lies in it"),
    ("no-mount", "", "list", "NO_MOUNT", "NAME",
     "leave out proc, sys, dev, devpts, home, tmp, hostfs, cwd, bind-paths or a path inside"),
    ("workdir", "W", "string", "WORKDIR", "DIR",
     "where scratch directories lie, and with --contain /tmp, /var/tmp and the home"),
    ("scratch", "S", "list", "SCRATCH SCRATCHDIR", "DIR",
     "an empty directory in memory, gone afterwards; with --workdir one of the disk, which stays"),
    ("env", "", "map", "", "NAME=VALUE", "set a variable inside"),
    ("env-file", "", "list", "ENV_FILE", "FILE", "set the variables a shell fragment sets"),
    ("no-eval", "", "bool", "NO_EVAL", "", "let no shell evaluate the values"),
    ("cleanenv", "e", "bool", "CLEANENV", "", "pass no variable of the host's on"),
    ("contain", "c", "bool", "CONTAIN", "",
     "minimal /dev, empty home, /tmp and /var/tmp in place of the host's"),
    ("containall", "C", "bool", "CONTAINALL", "", "--contain --cleanenv --pid --ipc"),
    ("compat", "", "bool", "COMPAT", "", "--containall --no-eval --no-umask --writable-tmpfs"),
    ("pid", "p", "bool", "PID UNSHARE_PID", "", "a PID namespace"),
    ("no-pid", "", "bool", "NO_PID", "", "the host's PID namespace"),
    ("ipc", "i", "bool", "IPC UNSHARE_IPC", "", "an IPC namespace; --ipc=false: the host's"),
    ("uts", "", "bool", "UTS UNSHARE_UTS", "", "a UTS namespace; --uts=false: the host's"),
    ("net", "n", "bool", "NET UNSHARE_NET", "", "a network namespace; needs --network none"),
    ("network", "", "string", "NETWORK", "none", "no interface but lo"),
    ("hostname", "", "string", "HOSTNAME", "NAME", "the host name inside; makes a UTS namespace"),
    ("fakeroot", "f", "bool", "FAKEROOT", "", "be root inside, with its capabilities"),
    ("id-map", "", "string", "ID_MAP", "auto|helpers|single",
     "map the subordinate ids where granted, always, or never"),
    ("ignore-subuid", "", "bool", "IGNORE_SUBUID", "", "--id-map single"),
    ("unpack", "", "string", "UNPACK", "now|background|never",
     "a big image: unpack it first, or serve it by FUSE and unpack it meanwhile, or never"),
    ("cache-limit", "", "string", "CACHE_LIMIT", "SIZE",
     "remove unpacked images, the least recently used first, above SIZE (20G; 0: never)"),
    ("writable", "w", "bool", "WRITABLE", "", "write to the image, which is a directory"),
    ("writable-tmpfs", "", "bool", "WRITABLE_TMPFS", "", "write to memory above the image"),
    ("writable-tmpfs-size", "", "number", "WRITABLE_TMPFS_SIZE", "MIB",
     "how much, there and in each directory in memory (64; 0: no limit)"),
    ("no-umask", "", "bool", "NO_UMASK", "", "umask 0022 in place of the caller's"),
    ("security", "", "list", "SECURITY", "seccomp:PROFILE",
     "default, compat, unconfined, or the file of a profile (TOML, or JSON as OCI has it)"),
    ("nv", "", "bool", "NV", "", "accepted: no NVIDIA library of the host is bound yet"),
    ("rocm", "", "bool", "ROCM", "", "accepted: no ROCm library of the host is bound yet"),
    ("add-caps", "", "list", "ADD_CAPS", "CAPS", "accepted with --fakeroot, which has them all"),
    ("drop-caps", "", "list", "DROP_CAPS", "CAPS", "accepted without --fakeroot: there are none"),
    ("no-privs", "", "bool", "NO_PRIVS", "", "accepted without --fakeroot: there are none"),
    ("preserve-fds", "", "number", "PRESERVE_FDS", "N", "keep descriptors 3 to 2+N open"),
    ("trace", "", "bool", "TRACE", "", "print each step as it begins"),
    ("diagnosis", "", "string", "DIAGNOSIS", "text|json", "how a failure is reported"),
    ("help", "h", "bool", "", "", "print this help"),
)

SHELL: Table = (
    ("shell", "s", "string", "SHELL", "PATH", "the shell to start"),
)

# After the subcommand apptainer has no -v; under our own name it is read there, too.
OWN: Table = (
    ("verbose", "v", "bool", "", "", "say which choices are made"),
)

# Read and set aside, each for a reason.
ACCEPTED: Table = (
    ("userns", "u", "bool", "USERNS UNSHARE_USERNS", "", "a user namespace is always made"),
    ("no-init", "", "bool", "NOSHIMINIT", "", "PID 1 is always the init that reaps"),
    ("underlay", "", "bool", "UNDERLAY", "", "the plan chooses how mount points are made"),
    ("unsquash", "", "bool", "UNSQUASH", "", "--unpack now"),
    ("disable-cache", "", "bool", "DISABLE_CACHE", "", "it is about downloads; there are none"),
    ("tmpdir", "", "string", "TMPDIR", "DIR", "no temporary directory is needed"),
    ("no-nv", "", "bool", "NV_OFF NO_NV", "", "no NVIDIA library is bound"),
    ("no-rocm", "", "bool", "ROCM_OFF NO_ROCM", "", "no ROCm library is bound"),
    ("no-oci", "", "bool", "NO_OCI", "", "there is no other mode"),
    ("ignore-fakeroot-command", "", "bool", "IGNORE_FAKEROOT_COMMAND", "", "it is never used"),
    ("no-https", "", "bool", "NOHTTPS NO_HTTPS", "", "it is about downloads"),
    ("docker-login", "", "bool", "DOCKER_LOGIN", "", "it is about downloads"),
    ("docker-host", "", "string", "DOCKER_HOST", "URL", "it is about downloads"),
    ("docker-username", "", "string", "DOCKER_USERNAME", "NAME", "it is about downloads"),
    ("docker-password", "", "string", "DOCKER_PASSWORD", "WORD", "it is about downloads"),
    ("authfile", "", "string", "AUTHFILE", "FILE", "it is about downloads"),
    ("passphrase", "", "bool", "", "", "an encrypted image is refused when it is opened"),
    ("pem-path", "", "string", "ENCRYPTION_PEM_PATH", "FILE",
     "an encrypted image is refused when it is opened"),
)

NO_CGROUP = "no limit is set on cgroups"
NO_CHECKPOINT = "checkpoints are not supported"

# They would change what the payload sees, and do not: so they end the launch.
REFUSED: Table = (
    ("overlay", "o", "list", "OVERLAY OVERLAYIMAGE", "", "overlays are not supported"),
    ("app", "", "string", "APP APPNAME", "", "SCIF applications are not supported"),
    ("dns", "", "string", "DNS", "", "resolv.conf is the host's"),
    ("network-args", "", "list", "NETWORK_ARGS", "", "only --network none is supported"),
    ("netns-path", "", "string", "NETNS_PATH", "", "only --network none is supported"),
    ("nvccli", "", "bool", "NVCCLI", "", "nvidia-container-cli is not called"),
    ("containlibs", "", "list", "CONTAINLIBS", "", "no library of the host is bound"),
    ("fusemount", "", "array", "FUSESPEC", "", "FUSE mounts are not supported"),
    ("keep-privs", "", "bool", "KEEP_PRIVS", "", "no container holds a privilege of the host"),
    ("allow-setuid", "", "bool", "ALLOW_SETUID", "", "no_new_privs is always set"),
    ("ignore-userns", "", "bool", "IGNORE_USERNS", "", "there is no way without a user namespace"),
    ("sharens", "", "bool", "SHARENS", "", "each launch has namespaces of its own"),
    ("oci", "", "bool", "OCI", "", "the OCI mode is not supported"),
    ("boot", "", "bool", "BOOT", "", "no container is booted"),
    ("runscript-timeout", "", "string", "RUNSCRIPT_TIMEOUT", "", "a runscript is never stopped"),
    ("dmtcp-launch", "", "string", "DMTCP_LAUNCH", "", NO_CHECKPOINT),
    ("dmtcp-restart", "", "string", "DMTCP_RESTART", "", NO_CHECKPOINT),
    ("apply-cgroups", "", "string", "APPLY_CGROUPS", "", NO_CGROUP),
    ("blkio-weight", "", "number", "BLKIO_WEIGHT", "", NO_CGROUP),
    ("blkio-weight-device", "", "list", "BLKIO_WEIGHT_DEVICE", "", NO_CGROUP),
    ("cpu-shares", "", "string", "CPU_SHARES", "", NO_CGROUP),
    ("cpus", "", "string", "CPUS", "", NO_CGROUP),
    ("cpuset-cpus", "", "string", "CPUSET_CPUS", "", NO_CGROUP),
    ("cpuset-mems", "", "string", "CPUSET_MEMS", "", NO_CGROUP),
    ("memory", "", "string", "MEMORY", "", NO_CGROUP),
    ("memory-reservation", "", "string", "MEMORY_RESERVATION", "", NO_CGROUP),
    ("memory-swap", "", "string", "MEMORY_SWAP", "", NO_CGROUP),
    ("oom-kill-disable", "", "bool", "OOM_KILL_DISABLE", "", NO_CGROUP),
    ("pids-limit", "", "string", "PIDS_LIMIT", "", NO_CGROUP),
)
# fmt: on

ALIASES = {"cwd": "pwd", "nohttps": "no-https"}


def index(*tables: Table) -> dict[str, Row]:
    """Each row of the tables under its long name and its shorthand, which is one letter."""
    rows: dict[str, Row] = {}
    for table in tables:
        for row in table:
            rows[row[NAME]] = rows[row[SHORT]] = row
    rows.pop("", None)  # where the rows without a shorthand went
    return rows


def flags_of(action: str, own_name: bool) -> dict[str, Row]:
    """The flags that `action` ("run", "exec", ...) takes under our own name or another."""
    flags = index(ACTION, ACCEPTED, REFUSED)
    if action == "shell":
        flags |= index(SHELL)
    if own_name:
        flags |= index(OWN)
    return flags


def variable_rows() -> dict[str, Row]:
    """Each row that variables can set under the names of these, without prefix."""
    return {
        variable: row
        for table in (GLOBAL, ACTION, SHELL, ACCEPTED, REFUSED)
        for row in table
        for variable in row[VARIABLES].split()
    }


def usage(row: Row) -> str:
    """The flags of a row and their argument: "-B, --bind SPEC"."""
    short = f"-{row[SHORT]}, " if row[SHORT] else "    "
    return f"{short}--{row[NAME]} {row[ARGUMENT]}".rstrip()
