"""Makes the Request out of what the command line, the variables and the configuration say."""

from __future__ import annotations

import posix

from minictr.cli.grammar import list_of, number_of, size_of, text_of, truth
from minictr.refusal import Refusal
from minictr.request import NAMESPACES, Request, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from minictr.cli.grammar import Values
    from minictr.cli.names import Name
    from minictr.request import Bind

    Notices = list[tuple[str, str]]

CACHE_LIMIT = 20 * 10**9
UNPACK = ("now", "background", "never")
ID_MAPS = ("auto", "helpers", "single")
PROFILES = ("default", "compat", "unconfined")
NO_MOUNTS = ("proc", "sys", "dev", "devpts", "home", "tmp", "hostfs", "cwd", "bind-paths")
NOT_DONE = {
    "nv": "--nv: no NVIDIA library of the host is bound",
    "rocm": "--rocm: no ROCm library of the host is bound",
}


def compose(
    name: Name,
    action: str,
    arguments: list[str],
    values: Values,
    environ: Mapping[str, str],
    warnings: list[str] | tuple[str, ...] = (),
) -> Request:
    """The Request of one launch.

    arguments   the image and what follows it
    values      as read by grammar.py, all sources merged
    warnings    found on the way, to be said before the launch
    """
    notices = [("warning", text) for text in warnings]
    if action == "shell" and len(arguments) > 1:
        notices.append(("warning", "Parameters to shell command are ignored"))
        arguments = arguments[:1]
    values = expanded(values)
    refuse_capabilities(values)
    request = Request(action, arguments[0], tuple(arguments[1:]), name.program).replace(
        **files_of(name, values, notices),
        **payload_of(values, action),
        **isolation_of(values, name),
        notices=tuple(notices),
        host_environment=tuple(environ.items()),
    )
    return check(request)


def files_of(name: Name, values: Values, notices: Notices) -> dict[str, object]:
    """The fields that say which files are seen inside, and which can be written."""
    return {
        "binds": binds_of(values, notices, name.drop_in),
        "home": home_of(values),
        "no_home": truth(values, "no-home"),
        "contain": truth(values, "contain"),
        "no_mount": no_mount_of(values, notices),
        "workdir": path_of(text_of(values, "workdir")),
        "scratch": scratch_of(values),
        "gpu": gpu_of(values, notices),
        "writable": truth(values, "writable"),
        "writable_tmpfs": truth(values, "writable-tmpfs"),
        "unpack": one_of(values, "unpack", UNPACK, "background"),
        "cache_limit": size_of(values, "cache-limit", CACHE_LIMIT),
        "tmpfs_mib": number_of(values, "writable-tmpfs-size", 64),
    }


def payload_of(values: Values, action: str) -> dict[str, object]:
    """The fields that say what the payload starts with, and what is said of the launch."""
    return {
        "pwd": pwd_of(values),
        "shell": text_of(values, "shell") if action == "shell" else "",
        "cleanenv": truth(values, "cleanenv"),
        "environment": environment_of(values),
        "env_files": env_files_of(values),
        "evaluate": not truth(values, "no-eval"),
        "keep_umask": not truth(values, "no-umask"),
        "preserve_fds": number_of(values, "preserve-fds", 0),
        "verbosity": verbosity_of(values),
        "trace": truth(values, "trace"),
        "diagnosis": one_of(values, "diagnosis", ("text", "json"), "text"),
    }


def isolation_of(values: Values, name: Name) -> dict[str, object]:
    """The fields that say what keeps the payload apart from the host; most depend on the name."""
    fakeroot = truth(values, "fakeroot")
    return {
        "fakeroot": fakeroot,
        "id_map": one_of(values, "id-map", ID_MAPS, "auto" if fakeroot else name.id_map),
        "namespaces": namespaces_of(name, values),
        "network": network_of(values),
        "hostname": text_of(values, "hostname"),
        "seccomp": seccomp_of(values, name.seccomp),
        "close_descriptors": name.close_descriptors,
        "init_name": name.init_name,
    }


def expanded(values: Values) -> Values:
    """The values with --compat, --containall, --unsquash and --ignore-subuid written out."""
    more: Values = {}
    if truth(values, "compat"):
        more.update({"no-eval": True, "no-umask": True})
        more["writable-tmpfs"] = not truth(values, "writable")
    if truth(values, "compat") or truth(values, "containall"):
        more.update({"contain": True, "cleanenv": True, "pid": True, "ipc": True})
    if truth(values, "unsquash"):
        more["unpack"] = "now"
    if truth(values, "ignore-subuid"):
        more["id-map"] = "single"
    return {**values, **more} if more else values


def verbosity_of(values: Values) -> int:
    """From the flags before the subcommand; the more talkative wins (cli/apptainer.go)."""
    for key, verbosity in (("debug", 2), ("verbose", 1), ("quiet", -1), ("silent", -2)):
        if truth(values, key):
            return verbosity
    return 0


def namespaces_of(name: Name, values: Values) -> tuple[str, ...]:
    """Those of the name, more or fewer as options say; a host name needs a UTS namespace."""
    wanted = dict.fromkeys(name.namespaces, True)
    for kind in ("pid", "ipc", "uts"):
        if kind in values:
            wanted[kind] = truth(values, kind)
    if truth(values, "no-pid"):
        wanted["pid"] = False
    if values.get("hostname"):
        wanted["uts"] = True
    if network_of(values):
        wanted["net"] = True
    return tuple(kind for kind in NAMESPACES if wanted.get(kind))


def network_of(values: Values) -> str:
    """The value of --network, which makes a network namespace also where --net is not given."""
    network = text_of(values, "network")
    if network not in ("", "none"):
        cause = f"--network {network} is refused: only --network none works without privilege"
        raise Refusal("request", cause)
    if truth(values, "net") and not network:
        cause = "--net alone is refused: only --network none works without privilege"
        raise Refusal("request", cause, "", "Add --network none.")
    if values.get("net") is False:
        return ""
    return network


def refuse_capabilities(values: Values) -> None:
    """Accept the capability options where they ask for what is the case anyway.

    With --fakeroot every capability over the container is held, without it none is.
    """
    fakeroot = truth(values, "fakeroot")
    if values.get("add-caps") and not fakeroot:
        cause = "--add-caps is refused: without --fakeroot no capability is held"
        raise Refusal("request", cause, "", "Add --fakeroot.")
    for key in ("drop-caps", "no-privs"):
        if values.get(key) and fakeroot:
            cause = f"--{key} is refused with --fakeroot, where every capability is held"
            raise Refusal("request", cause, "", "Leave one of them out.")


def binds_of(values: Values, notices: Notices, drop_in: bool) -> tuple[Bind, ...]:
    """--bind, then --mount, each in the order given."""
    if "bind" not in values and "mount" not in values:
        return ()
    from minictr.cli.binds import left_out, read_binds, read_mounts, without_root

    cwd = working_directory()
    binds = [bind for text in list_of(values, "bind") for bind in read_binds(text, cwd)]
    binds += [bind for text in list_of(values, "mount") for bind in read_mounts(text, cwd)]
    binds, over_root = without_root(binds, drop_in)
    notices += [("warning", text) for text in (*over_root, *left_out(binds))]
    return tuple(binds)


def home_of(values: Values) -> tuple[str, str]:
    """(source, target) of --home."""
    if "home" not in values:
        return "", ""
    from minictr.cli.binds import read_home

    return read_home(text_of(values, "home"))


def pwd_of(values: Values) -> str:
    """--pwd, which names a directory inside."""
    pwd = text_of(values, "pwd")
    if pwd and not pwd.startswith("/"):
        raise Refusal("request", f"--pwd takes an absolute path inside the container: {pwd}")
    return pwd


def scratch_of(values: Values) -> tuple[str, ...]:
    """--scratch, directories inside; a relative one lies below /, as in apptainer."""
    paths = ("/" + path.strip("/") for path in list_of(values, "scratch"))
    return tuple(path for path in paths if path != "/")


def path_of(path: str) -> str:
    """A path outside, seen from the working directory."""
    if not path or path.startswith("/"):
        return path
    from minictr.cli.binds import absolute

    return absolute(path, working_directory())


def working_directory() -> str:
    """Where we were called, "" where that directory is gone."""
    try:
        return posix.getcwd()
    except FileNotFoundError:
        return ""


def environment_of(values: Values) -> tuple[tuple[str, str], ...]:
    """--env in the order given; a name given twice has its last value."""
    given = values.get("env")
    return tuple(given.items()) if isinstance(given, dict) else ()


def env_files_of(values: Values) -> tuple[tuple[str, str], ...]:
    """(path, text) of each --env-file."""
    paths = list_of(values, "env-file")
    if not paths:
        return ()
    from minictr.cli.texts import read_text

    files = tuple((path, read_text(path, "--env-file")) for path in paths)
    for path, text in files:
        if "\0" in text:
            raise Refusal("request", f"--env-file {path} is no text: it holds a NUL byte")
    return files


def seccomp_of(values: Values, default: str) -> str:
    """The profile of the last --security seccomp:PROFILE."""
    profile = default
    for feature in list_of(values, "security"):
        kind, _, argument = feature.partition(":")
        if kind != "seccomp" or not argument:
            cause = f"--security {feature} is refused: only seccomp:PROFILE is supported"
            raise Refusal("request", cause)
        profile = argument if argument in PROFILES else path_of(argument)
    return profile


def no_mount_of(values: Values, notices: Notices) -> tuple[str, ...]:
    """--no-mount; a name that no mount has is named, and passed over as apptainer does."""
    kept = []
    for mount in list_of(values, "no-mount"):
        if mount in NO_MOUNTS or mount.startswith("/"):
            kept.append(mount)
        else:
            notices.append(("warning", f"Ignoring unknown mount type '{mount}'"))
    return tuple(kept)


def gpu_of(values: Values, notices: Notices) -> tuple[str, ...]:
    """--nv and --rocm. No notice without -v: clients pass them on hosts that have no GPU, too."""
    asked = tuple(kind for kind in ("nv", "rocm") if truth(values, kind))
    notices += [("verbose", NOT_DONE[kind]) for kind in asked]
    return asked


def one_of(values: Values, key: str, words: tuple[str, ...], default: str) -> str:
    """The value of an option that takes one of a few words."""
    word = text_of(values, key) or default
    if word not in words:
        raise Refusal("request", f"--{key} takes {', '.join(words)}, not {word}")
    return word
