"""Describe an unpacked root: its runscript, its shell and its environment scripts."""

from __future__ import annotations

import posix

from minictr.image.tree import Tree, kind_of, may, resolve

ENVIRONMENT = "/.singularity.d/env"
RUNSCRIPT = "/.singularity.d/runscript"

# The one command of the runscript that `apptainer build` writes where the recipe has none
# (apptainer, internal/pkg/build/sources/base_environment.go).
NO_RUNSCRIPT = 'echo "There is no runscript defined for this container\\n"'

# Environment scripts that every image carries and whose effect the launcher has itself: the
# sha256 of their commands(). A variant that is not here is sourced like any other script.
# Taken from images and sources of apptainer and singularity, base_environment.go in both.
BUILT_IN = {
    # 95-apps.sh acts only when an app was chosen
    "97d07bfe5b28f6433914ef9b3fdf55e5bce72f34f11ca9b36f48eca67b4de9f1",  # apptainer 1
    "a02620e3ac29bab3fab58b54e5e8e1c651fc7af653d1fe1ed263f02ba9d52845",  # singularity 3
    "e6dc42bf316ea1c8febde816731709f64ba11b78a62ea5a49b60adb1fdfbcc57",  # singularity 2.5
    # 99-base.sh appends /.singularity.d/libs to LD_LIBRARY_PATH and sets PS1
    "1a9560ea9b0e333d9ed6af973539c5cfc0bf5952cc1a214cc6c4e67a76001f88",  # apptainer 1
    "686e571e657bdcf4eb15e44217d97b89fe1e9fd7c8d9e4f52ca76631f2c4a24b",  # singularity 3
    "3a8240cfc5611c09eab6de5311ff20bc156829cc2f82dfbfd90fa71527b5bf40",  # the same, newer form
    # 99-runtimevars.sh applies the PATH that was asked for on the command line
    "781ea6fdb8de4f5aecf5894085a76c5e6f8467994dd2c7ed3f865c01a3fe9548",  # both, all releases
}


_EACCES = 13  # errno(3)
LONGEST = 1 << 20  # bytes of a script that is looked into
TOO_LONG = "eval"  # stands for a longer one: not simple, so the image's own shell reads the file


def describe(root: str, kind: str, name: str) -> Tree:
    """The Tree at `root`, without a lock. Reads it, and never executes anything of it.

    Raises Refusal where a file or directory of the image's metadata cannot be read.
    """
    try:
        scripts = tuple((path, text) for path, text in sources(root) if has_effect(text))
        return Tree(root, kind, name, runscript(root), executable(root, "/bin/sh"), scripts)
    except OSError as error:
        if kind != "directory":
            from minictr.image.closed import unreadable

            raise unreadable(root, error) from error
        from minictr.image.lookup import denied, explain

        at = error.filename or root
        if isinstance(at, bytes):  # a directory that is listed
            at = decoded(at)
            if not may(at, posix.R_OK):
                raise denied(at, at, posix.R_OK) from error
        raise explain(at, "open(2)", error) from error


def runscript(root: str) -> str:
    """What Tree.runscript says: "own", "default", or "" where there is no executable one."""
    if not executable(root, RUNSCRIPT):
        return ""
    words = commands(read(root, RUNSCRIPT)).rstrip(";")
    return "default" if words == NO_RUNSCRIPT else "own"


def executable(root: str, path: str) -> bool:
    """Whether the container finds a regular file there that somebody may execute."""
    if kind_of(root, path) != "file":
        return False
    return bool(posix.stat(resolve(root, path)).st_mode & 0o111)


def sources(root: str) -> list[tuple[str, str]]:
    """(path inside the image, text) of its environment scripts, in the order of a shell's glob.

    Images of Singularity 2.2 and older have one script, /environment.
    """
    if kind_of(root, ENVIRONMENT) == "directory":
        names = sorted(posix.listdir(encoded(resolve(root, ENVIRONMENT))))  # bytes: the C locale
        found = [f"{ENVIRONMENT}/{decoded(name)}" for name in names if is_script(name)]
    else:
        found = ["/environment"]
    return [(path, read(root, path)) for path in found if kind_of(root, path) == "file"]


def is_script(name: bytes) -> bool:
    """Whether the glob *.sh matches."""
    return name.endswith(b".sh") and not name.startswith(b".")


def has_effect(text: str) -> bool:
    """Whether a script does anything that the launcher does not do itself."""
    words = commands(text)
    return bool(words) and sha256(encoded(words)) not in BUILT_IN


def sha256(data: bytes) -> str:
    """The digest in hexadecimal, by what lies below hashlib: that loads OpenSSL, for 5 ms."""
    for module in ("_sha2", "_sha256"):  # since and before Python 3.12
        try:
            return str(__import__(module).sha256(data).hexdigest())
        except ImportError:  # an interpreter that was built without
            continue
    import hashlib

    return hashlib.sha256(data).hexdigest()


def commands(text: str) -> str:
    """A script without its comments, blank lines and indentation."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#"))


def read(root: str, path: str) -> str:
    """The text of a file of the image; bytes that are not UTF-8 become surrogates."""
    found = resolve(root, path)
    if not may(found, posix.R_OK):  # root, who opens it all the same, has no such right inside
        raise PermissionError(_EACCES, posix.strerror(_EACCES), found)
    with open(found, "rb") as file:
        text = file.read(LONGEST + 1)
    if len(text) > LONGEST:
        return TOO_LONG
    return decoded(text)


def decoded(data: bytes) -> str:
    """The text of bytes; those that are not UTF-8 become surrogates."""
    return data.decode("utf-8", "surrogateescape")


def encoded(text: str) -> bytes:
    """The bytes that `text` was read from."""
    return text.encode("utf-8", "surrogateescape")
