"""Finds the launchers that can be compared, each with a command that runs `true` in a container."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from bundle import bundle  # noqa: E402
from stopwatch import Command  # noqa: E402

from minictr.image.index import find  # noqa: E402
from minictr.image.open import open_image  # noqa: E402

BARE = "bare interpreter"
START = "bare interpreter, _exit(2)"  # without the tidying up, which a launch leaves out
SINGLE, HELPERS = "minictr, one id", "minictr, newuidmap"
STAND_IN = "minictr as apptainer"  # what a client calls that takes it for apptainer
APPTAINER = "apptainer, the SIF"
BWRAP, CH_RUN = "bwrap, the tree", "ch-run, the SquashFS"
CRUN = "crun, a bundle of the tree"

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts")

# End of the label -> the text of the image's environment script.
SCRIPTS = {
    "": "",
    ", assignments": '#!/bin/sh\nexport GREETING="hello"\nexport DATA=/data\n',
    ", shell script": "#!/bin/sh\nexport TODAY=$(echo today)\n",
}


class Unusable(Exception):
    """Nothing can be compared; says why, and what to do."""


class Program(NamedTuple):
    """The minictr to be measured."""

    file: str  # the start script
    python: str  # the interpreter that it starts, as it names it
    package: Path  # the directory with the modules that are imported


class Field(NamedTuple):
    """Who takes part."""

    commands: dict[str, Command]  # by label, in the order of the table
    skipped: dict[str, str]  # label -> why it cannot take part
    versions: dict[str, str]  # program -> what its --version says
    python: str  # the interpreter, and its version


def field(
    chosen: Path | None, image: Path | None, scratch: Path, scripts: Mapping[str, str] = SCRIPTS
) -> Field:
    """Everything that can be measured here: `chosen` or this checkout's minictr, and the peers.

    Without an image the example image is built, once with each of the environment scripts.
    """
    if image and not image.is_file():
        raise Unusable(f"{image} is not a file; an image is a SIF or SquashFS file here")
    program = program_under_test(chosen, scratch)
    environ = environment(scratch)
    images = {"": image} if image else build_images(program, scratch, environ, scripts)
    own = own_commands(program, images, environ)
    own[STAND_IN] = stand_in(program, images[""], scratch, environ)
    commands, skipped = warm_up(own)
    if SINGLE in skipped:
        raise Unusable(f"{SINGLE}: {skipped[SINGLE]}")
    peers, absent = warm_up(peer_commands(images[""], scratch, environ))
    said = versions(commands | peers, environ)
    python = f"{program.python} ({first_line([program.python, '--version'], environ)})"
    return Field(commands | peers, skipped | absent, said, python)


def versions(commands: Mapping[str, Command], environ: dict[str, str]) -> dict[str, str]:
    """What each program that takes part says to --version."""
    files = {argv[0] for argv, _ in commands.values()}
    return {Path(file).name: first_line([file, "--version"], environ) for file in sorted(files)}


def instead(command: Command, *words: str) -> Command:
    """The same launch, of another command than `true`."""
    (*argv, _), environ = command
    return (*argv, *words), environ


def first_line(argv: list[str], environ: dict[str, str]) -> str:
    """The first line that a program prints."""
    done = subprocess.run(argv, check=False, env=environ, capture_output=True, text=True)
    return (done.stdout or done.stderr).partition("\n")[0]


def program_under_test(chosen: Path | None, scratch: Path) -> Program:
    """Find the program, and the interpreter and modules that it uses by a look at it running."""
    beside = Path(sys.executable).with_name("minictr")
    file = chosen or (beside if beside.exists() else PROJECT / "scripts/minictr")
    (scratch / "root/bin").mkdir(parents=True)
    shutil.copy(busybox(), scratch / "root/bin/cat")
    command = [str(file.absolute()), "exec", str(scratch / "root"), "cat"]
    running = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(scratch)
    )
    assert running.stdin
    assert running.stdout
    line = ""
    try:
        running.stdin.write(b"x")
        running.stdin.flush()
        if running.stdout.read(1):  # it comes back from inside the container
            line = Path(f"/proc/{running.pid}/cmdline").read_bytes().decode()
        running.communicate()
    except BrokenPipeError:  # it ended before it read
        running.wait()
    if running.returncode:
        raise Unusable(f"`{' '.join(command)}` ended with status {running.returncode}")
    python, *words = line.split("\0")
    program = Program(command[0], python, package_of(words))
    refuse_uncompiled(program)
    return program


def package_of(words: list[str]) -> Path:
    """The directory of the modules that a start script takes, from what follows the interpreter."""
    if "-c" in words:
        return Path(words[words.index("-c") + 2], "minictr").resolve()
    script = Path(next(word for word in words if not word.startswith("-"))).resolve()
    if str(PROJECT) in script.read_text():  # an editable installation
        return PROJECT / "minictr"
    return next(script.parents[1].glob("lib/python3*/*-packages/minictr"))


def refuse_uncompiled(program: Program) -> None:
    """Modules without a compiled file of this interpreter's would be compiled at each launch."""
    code = "import sys; print(sys.implementation.cache_tag)"
    tag = subprocess.check_output([program.python, "-ISc", code], text=True).strip()
    for source in sorted(program.package.glob("**/*.py")):
        compiled = source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
        status = source.stat()
        # PEP 552: four bytes each of magic number, flags, mtime and size of the source.
        expected = b"".join((n & 0xFFFFFFFF).to_bytes(4, "little") for n in stamp(status))
        if not compiled.exists() or compiled.read_bytes()[8:16] != expected:
            fix = f"{program.python} -Im compileall -q {program.package}"
            raise Unusable(f"{source} is not compiled for {tag}; run `{fix}`")


def stamp(status: os.stat_result) -> tuple[int, int]:
    """What a compiled file keeps of its source: mtime in seconds, size in bytes."""
    return int(status.st_mtime), status.st_size


def environment(scratch: Path) -> dict[str, str]:
    """The environment of everything that is measured, with a cache of this run's own."""
    login = ("HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR")
    kept = {name: os.environ[name] for name in login if name in os.environ}
    return {**kept, "PATH": PATH, "LANG": "C.UTF-8", "MINICTR_CACHEDIR": str(scratch / "cache")}


def own_commands(
    program: Program, images: dict[str, Path], environ: dict[str, str]
) -> dict[str, Command]:
    """The interpreter alone, and minictr with each image and both ways to map ids."""
    interpreter = str(Path(program.python).resolve())  # a virtual environment's is a link to it
    bare = {BARE: "pass", START: "import posix; posix._exit(0)"}
    commands: dict[str, Command] = {
        label: ((interpreter, "-I", "-S", "-c", code), environ) for label, code in bare.items()
    }
    for end, path in images.items():
        for label, ids in ((SINGLE, "single"), (HELPERS, "helpers")):
            argv = (program.file, "exec", "--id-map", ids, str(path), "true")
            commands[label + end] = (argv, environ)
    return commands


def stand_in(program: Program, image: Path, scratch: Path, environ: dict[str, str]) -> Command:
    """The same command line that apptainer gets, under its name."""
    (scratch / "names").mkdir()
    run([program.file, "drop-in", str(scratch / "names")], environ)
    return (str(scratch / "names/apptainer"), "exec", str(image), "true"), environ


def build_images(
    program: Program, scratch: Path, environ: dict[str, str], scripts: Mapping[str, str]
) -> dict[str, Path]:
    """The example image with each kind of environment script; end of the label -> path."""
    images = {}
    for number, (end, text) in enumerate(scripts.items()):
        root, images[end] = scratch / f"root-{number}", scratch / f"image-{number}.sif"
        root.mkdir()
        run([str(PROJECT / "images/hello/recipe"), str(root)], environ)
        script = root / ".singularity.d/env/90-environment.sh"
        script.write_text(text) if text else script.unlink()
        run([program.file, "build", str(images[end]), str(root)], environ)
    return images


def peer_commands(image: Path, scratch: Path, environ: dict[str, str]) -> dict[str, Command]:
    """The other launchers, on the same SIF, its SquashFS, and the tree that minictr unpacked."""
    tree = find(str(image), environ["MINICTR_CACHEDIR"])
    assert tree, "a launch has left its tree in the cache"
    found = open_image(str(image))
    squashfs = scratch / "image.sqfs"
    with image.open("rb") as whole:
        whole.seek(found.offset)
        squashfs.write_bytes(whole.read(found.size))
    bound = ("--ro-bind", tree.root, "/", "--proc", "/proc", "--dev", "/dev")
    crun = shutil.which("crun", path=PATH) or "crun"
    argvs = {
        BWRAP: ("bwrap", *NAMESPACES, *bound, "true"),
        "ch-run, the tree": ("ch-run", tree.root, "--", "true"),
        CRUN: bundle(crun, tree.root, scratch / "bundle", environ) if "/" in crun else (crun,),
        CH_RUN: ("ch-run", str(squashfs), "--", "true"),
        APPTAINER: ("apptainer", "exec", str(image), "true"),
    }
    return {
        label: ((shutil.which(name, path=PATH) or name, *words), environ)
        for label, (name, *words) in argvs.items()
    }


def warm_up(commands: dict[str, Command]) -> tuple[dict[str, Command], dict[str, str]]:
    """Run each once, which fills its cache; divides them into those that work and the reasons."""
    usable: dict[str, Command] = {}
    skipped: dict[str, str] = {}
    for label, (argv, environ) in commands.items():
        if not argv[0].startswith("/"):
            skipped[label] = f"{argv[0]} is not installed"
            continue
        done = subprocess.run(
            argv,
            check=False,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode == 0:
            usable[label] = (argv, environ)
        else:
            said = done.stderr.strip().splitlines() or [""]
            skipped[label] = f"status {done.returncode}: {said[-1]}"
    return usable, skipped


def run(argv: list[str], environ: dict[str, str]) -> None:
    """A command of the preparation, which has to work."""
    done = subprocess.run(argv, check=False, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise Unusable(f"`{' '.join(argv)}`: {done.stderr.strip()}")


def busybox() -> str:
    """The statically linked program which the example image consists of."""
    found = shutil.which("busybox", path=PATH)
    if not found:
        raise Unusable("busybox is missing; install the package busybox-static")
    return found
