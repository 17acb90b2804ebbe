"""Every sentence with which an image is refused, in one table."""

from __future__ import annotations

from minictr.refusal import Refusal

AGAIN = "Download or copy the image again."
REBUILD = "Build the image again."

# key: (code, cause, fix). Several keys share a code where one cause shows in several forms.
# {path} is the path as given, {quoted} the same for a shell; the rest is named by the caller.
REFUSALS: dict[str, tuple[str, str, str]] = {
    "missing": (
        "MC0101",
        "{path} does not exist: there is no {name} in {directory}",
        "Give the path of an image; `ls {at}` lists what is there.",
    ),
    "address": (
        "MC0101",
        "{path} is an address, and minictr opens files and directories",
        "{remedy}",
    ),
    "unnamable": ("MC0101", "{path} cannot be the name of a file: {what}", "Correct the path."),
    "dangling": (
        "MC0101",
        "{path} does not exist: the symbolic link {link} points to {target}, which is missing",
        "Remove the link or create its target.",
    ),
    "loop": (
        "MC0101",
        "{path} leads through more than 40 symbolic links",
        "Remove the loop: `ls -l {at}` shows the last link followed.",
    ),
    "not a directory": (
        "MC0101",
        "{path} does not exist: {directory} is not a directory",
        "Correct the path.",
    ),
    "denied": ("MC0102", "{path} cannot be {use}: {component} denies {right}", "{remedy}"),
    # A server or a security module, neither of which says so.
    "denied elsewhere": ("MC0000", "{path} cannot be read although its mode allows it", ""),
    "fuse of another": (
        "MC0427",
        "{path} cannot be reached: the FUSE mount on {point} lets in uid {owner} and nobody else",
        "Start minictr as that user, or mount it as the one who starts minictr.",
    ),
    "fuse without server": (
        "MC0429",
        "{path} cannot be reached: the program that serves the FUSE mount on {point} has ended",
        "{tool} {at}",
    ),
    "kind": ("MC0103", "{path} is a {kind}, not a file or a directory", "Give an image's path."),
    "changed": (
        "MC0103",
        "{path} was replaced by a {kind} while it was opened",
        "Run the command again once nothing replaces the file.",
    ),
    "empty": ("MC0104", "{path} is an empty file", AGAIN),
    "html": (
        "MC0105",
        "{path} is an HTML page, which a web server sent in place of the image",
        "Download the image again; `head {quoted}` shows what the server said.",
    ),
    "docker-archive": (
        "MC0106",
        "{path} is a docker-archive, a tar file of layers",
        "apptainer build image.sif docker-archive:{quoted}",
    ),
    "oci-archive": (
        "MC0106",
        "{path} is an OCI archive, a tar file of layers",
        "apptainer build image.sif oci-archive:{quoted}",
    ),
    "tar": (
        "MC0106",
        "{path} is a tar file",
        "mkdir root && tar -xf {quoted} -C root\nThen give root as the image.",
    ),
    "ext": (
        "MC0107",
        "{path} holds an {form} root file system, which needs root to mount",
        "mkdir root && debugfs -R 'rdump / root' {quoted}{at}\nThen give root as the image.",
    ),
    "encrypted": (
        "MC0108",
        "{path} is encrypted ({form})",
        "Use an image that was built without --encrypt.",
    ),
    "oci-sif": (
        "MC0109",
        "{path} is an OCI-SIF: it holds OCI blobs and no root file system",
        "Pull or build the image again without --oci.",
    ),
    "architecture": (
        "MC0110",
        "{path} is an image for {image}, and this machine is {machine}",
        "Use an image built for {machine}.",
    ),
    "no primary": (
        "MC0111",
        "{path} is a SIF without a primary partition: it holds {what}",
        REBUILD,
    ),
    "truncated": (
        "MC0112",
        "{path} is truncated: {what} needs {span}, and the file has {length} bytes",
        AGAIN,
    ),
    "shrank": ("MC0112", "{path} became shorter while it was read", AGAIN),
    "sif": ("MC0113", "{path} is damaged: {field} of the SIF {part} {value}", AGAIN),
    "not an image": ("MC0114", "{path} is not an image: it is {look}", "{advice}"),
    "superblock": (
        "MC0115",
        "{path} is damaged: {field} of the squashfs superblock is {value}",
        AGAIN,
    ),
    "small": (
        "MC0115",
        "{path} is damaged: its squashfs partition has {size} bytes, fewer than a superblock",
        AGAIN,
    ),
    "compressor": (
        "MC0116",
        "{path} uses squashfs compressor {value}, which does not exist in squashfs 4.0",
        AGAIN,
    ),
    "partition": (
        "MC0117",
        "{path} has a primary partition of type {form}, and minictr reads squashfs",
        "Build the image again with a squashfs root file system.",
    ),
    "version": (
        "MC0117",
        "{path} is a {form} of version {version}, and minictr reads version {known}",
        "Build the image again as a {form} of version {known}.",
    ),
    # Without proof there is no cause: a disk or a server that fails says no more than its errno.
    "call": ("MC0000", "{path} cannot be read: {call} returned {errno}", ""),
}


def refuse(key: str, path: str, proof: str, **words: str | int) -> Refusal:
    """The Refusal of REFUSALS[key], its sentences filled in; the caller raises it."""
    code, cause, fix = REFUSALS[key]
    known = {"path": printable(path), "quoted": quoted(path), **words}
    return Refusal(code, cause.format(**known), proof, fix.format(**known))


def offset_option(offset: int) -> str:
    """What the tools of e2fsprogs read behind a file's name where a file system lies in it."""
    return f"'?offset={offset}'" if offset else ""


def printable(text: str) -> str:
    """`text` as it may be written to a terminal: an odd name becomes a Python literal."""
    return text if text and text.isprintable() else ascii(text)


def quoted(text: str) -> str:
    """`text` as one word of a shell command; an odd name takes bash's $'...' form."""
    import shlex  # it imports re, and only a refusal needs it

    if text.isprintable():
        return shlex.quote(text)
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # no name of a file
        return ascii(text)
    return "$'" + "".join(f"\\x{byte:02x}" for byte in raw) + "'"


def span(offset: int, size: int) -> str:
    """A byte range as text, both ends included."""
    return f"bytes {offset} to {offset + size - 1}" if size > 0 else f"byte {offset} (size {size})"


def sample(raw: bytes, most: int = 16) -> str:
    """The beginning of `raw` as text that a terminal can show."""
    return ascii(raw[:most])[1:]
