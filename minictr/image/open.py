"""open_image: decide by content what stands at a path and where its root file system lies."""

from __future__ import annotations

import posix
import stat
import sys

from minictr.host import native
from minictr.image import sif, squashfs
from minictr.image.content import WINDOW, launch_end, recognise
from minictr.image.directory import check_directory
from minictr.image.emulation import REGISTER, emulator_of
from minictr.image.index import identity_of
from minictr.image.refusals import offset_option, refuse, span
from minictr.image.source import Source, look, open_source, read
from minictr.value import Value

# uname(2) machine: the name that images use. Those without an entry are spelled the same way.
MACHINES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "loongarch64": "loong64",
    "mips": f"mips{'le' if sys.byteorder == 'little' else ''}",
    "mips64": f"mips64{'le' if sys.byteorder == 'little' else ''}",
}
# A 64-bit kernel that also runs the 32-bit programs of its family.
ALSO_RUNS = {"amd64": ("386",), "arm64": ("arm",)}


class Image(Value):
    """What was found at a path.

    kind          "sif", "squashfs" (bare, or after the launch line of 2.x) or "directory"
    path          as the user gave it
    architecture  "amd64", "arm64", ...; "" where the image does not say
    offset, size  bytes of the root file system in the file; 0, 0 for a directory
    compressor    a value of squashfs.COMPRESSORS; "" for a directory
    inodes        what the superblock counts; 0 for a directory
    identity      (st_dev, st_ino, st_size, st_mtime_ns, st_ctime_ns) of what was read
    """

    kind: str
    path: str
    architecture: str
    offset: int
    size: int
    compressor: str
    inodes: int
    identity: tuple[int, ...]


def open_image(path: str, machine: str = "") -> Image:
    """What stands at `path`; raises Refusal for all that this machine cannot run.

    Reads the header, the descriptors up to the primary partition and the superblock. Never blocks.
    machine: as uname(2) spells it; "" for the one that this runs on.
    """
    status = look(path)
    if stat.S_ISDIR(status.st_mode):
        check_directory(path)
        return Image("directory", path, "", 0, 0, "", 0, identity_of(status))
    source = open_source(path)
    try:
        return _read_image(source, machine or native(posix.uname().machine))
    finally:
        posix.close(source.descriptor)


def architecture_of(machine: str) -> str:
    """The name that images use for a machine as uname(2) spells it."""
    return MACHINES.get(machine, "arm" if machine.startswith("arm") else machine)


def _read_image(source: Source, machine: str) -> Image:
    if source.length == 0:
        raise refuse("empty", source.path, "st_size is 0")
    start = read(source, 0, min(WINDOW, source.length))
    if sif.is_sif(start):
        return _from_sif(source, start, machine)
    offset = launch_end(start)
    if not start.startswith(squashfs.MAGIC, offset):
        raise recognise(source, start)
    return _image(source, "squashfs", "", offset, source.length - offset)


def _from_sif(source: Source, start: bytes, machine: str) -> Image:
    header = sif.read_header(source, start)
    descriptor, partition = sif.find_primary(source, header)
    at = header.descroff + descriptor.index * sif.DESCRIPTOR.size + sif.DESCRIPTOR_FIELDS["extra"]
    _check_file_system(source, descriptor, partition, at)
    _check_architecture(source, partition, machine, at + 8)
    sif.check_object(source, header, descriptor)
    return _image(source, "sif", partition.arch, descriptor.offset, descriptor.size)


def _image(source: Source, kind: str, architecture: str, offset: int, size: int) -> Image:
    block = squashfs.read_superblock(source, offset, size, bare=kind == "squashfs")
    compressor = squashfs.COMPRESSORS[block.compression]
    place = (offset, size)
    return Image(kind, source.path, architecture, *place, compressor, block.inodes, source.identity)


def _check_file_system(
    source: Source, descriptor: sif.Descriptor, partition: sif.Partition, at: int
) -> None:
    fstype = partition.fstype
    form = sif.FILE_SYSTEMS.get(fstype, str(fstype))
    where = span(descriptor.offset, descriptor.size)
    proof = f"byte {at}: fstype of the primary partition ({where}) is {fstype}"
    if fstype == sif.FS_EXT3:
        raise refuse("ext", source.path, proof, form=form, at=offset_option(descriptor.offset))
    if fstype in (sif.FS_LUKS, sif.FS_GOCRYPTFS):
        raise refuse("encrypted", source.path, proof, form=form)
    if fstype != sif.FS_SQUASHFS:
        raise refuse("partition", source.path, proof, form=form)


def _check_architecture(source: Source, partition: sif.Partition, machine: str, at: int) -> None:
    here = architecture_of(machine)
    if partition.arch in ("", here, *ALSO_RUNS.get(here, ())):
        return
    if emulator_of(partition.arch):
        return
    proof = (
        f"byte {at}: arch of the primary partition is {partition.arch}; uname(2): {machine}; "
        f"no emulator for it with flag F in {REGISTER}"
    )
    raise refuse("architecture", source.path, proof, image=partition.arch, machine=here)
