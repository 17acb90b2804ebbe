"""Request: what the user asked for, validated, with no knowledge of this machine."""

from __future__ import annotations

from minictr.refusal import Refusal
from minictr.value import Value

# The order in which namespaces are listed wherever they are listed.
NAMESPACES = ("pid", "ipc", "uts", "net")
HOST_NAME_MAX = 64  # bytes: sethostname(2)


class Bind(Value):
    """A file or directory of the host to be seen inside.

    source     absolute path on the host
    target     absolute path inside
    """

    source: str
    target: str
    read_only: bool = False


class Request(Value):
    """One launch, as asked for on the command line, in the environment and the configuration.

    action       "run", "exec", "shell" or "test"
    image        path as given
    program      the name we were called by, which decides labels and exit statuses
    home         (source, target); ("", "") is the caller's own
    environment  --env, in the order given; env_files: (path, text), text as read
    evaluate     whether a shell evaluates the injected values (not with --no-eval)
    keep_umask   whether the caller's umask is kept; 0022 otherwise
    tmpfs_mib    size of --writable-tmpfs in MiB
    namespaces   those of NAMESPACES that are made; user and mount always are
    network      "none" where "net" is made, "" otherwise
    seccomp      "default", "compat", "unconfined" or the absolute path of a profile
    id_map       "auto", "helpers" or "single"
    cache_limit  bytes of unpacked images; above them the least recently used go; 0 for none
    unpack       "now", "background" or "never": what is done with a big image
    no_mount     "proc", "sys", "dev", "devpts", "home", "tmp", "hostfs", "cwd", "bind-paths",
                 or an absolute path inside
    gpu          "nv" and "rocm", where asked for
    preserve_fds how many descriptors from 3 on stay open where the rest is closed
    verbosity    -2 silent, -1 quiet, 0, 1 verbose, 2 debug
    diagnosis    "text" or "json"
    notices      (level, text) to be said before the launch; levels of cli/messages.py
    host_environment  the caller's environment, undecodable bytes as surrogates
    """

    action: str
    image: str
    command: tuple[str, ...]
    program: str
    binds: tuple[Bind, ...] = ()
    pwd: str = ""
    home: tuple[str, str] = ("", "")
    no_home: bool = False
    cleanenv: bool = False
    contain: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    env_files: tuple[tuple[str, str], ...] = ()
    evaluate: bool = True
    keep_umask: bool = True
    writable: bool = False
    writable_tmpfs: bool = False
    tmpfs_mib: int = 64
    hostname: str = ""
    namespaces: tuple[str, ...] = ()
    network: str = ""
    seccomp: str = "default"
    fakeroot: bool = False
    id_map: str = "auto"
    cache_limit: int = 20 * 10**9
    unpack: str = "background"
    no_mount: tuple[str, ...] = ()
    workdir: str = ""
    scratch: tuple[str, ...] = ()
    shell: str = ""
    gpu: tuple[str, ...] = ()
    close_descriptors: bool = True
    preserve_fds: int = 0
    init_name: str = "minictr:init"
    verbosity: int = 0
    trace: bool = False
    diagnosis: str = "text"
    notices: tuple[tuple[str, str], ...] = ()
    host_environment: tuple[tuple[str, str], ...] = ()


def check(request: Request) -> Request:
    """Give the request back, or refuse one whose parts contradict each other."""
    if request.writable and request.writable_tmpfs:
        raise Refusal(
            "request",
            "--writable and --writable-tmpfs exclude each other",
            "the first writes to the image's directory, the second to memory above it",
            "Leave one of them out.",
        )
    if len(request.hostname.encode("utf-8", "surrogateescape")) > HOST_NAME_MAX:
        raise Refusal(
            "request",
            f"the host name has more than {HOST_NAME_MAX} bytes: {request.hostname}",
            "sethostname(2) refuses it",
        )
    return request
