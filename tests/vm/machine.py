"""Boots a kernel in a virtual machine that has minictr of this checkout installed."""

from __future__ import annotations

import importlib.metadata
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("MINICTR_SHARED") or PROJECT.parent / "shared")
RUN_VM = SHARED / "lab/vm/run-vm"
BUILT = Path(os.environ.get("VM_IMG") or "/var/lib/vm-lab")
KEPT = Path(os.environ.get("MINICTR_VM") or "/var/tmp/minictr-vm")
# The release of the machine's root file system, and the version of its python3.
RELEASE, PYTHON = "trixie", "python3.13"
# Of squashfs-tools, and a library that the machine has not.
SQUASHFS = ("bin/unsquashfs", "bin/mksquashfs", "lib/x86_64-linux-gnu/liblzo2.so.2")
QUOTA = ("quota_tree", "quota_v2")  # modules of ext4's quotas, the first before the second
PURE = ("pyseccomp", "tomli")  # what a first launch needs beside prctl, the same on every version


def missing(kernel: str) -> str:
    """What this machine lacks to boot that kernel, in words; "" for nothing."""
    if not RUN_VM.exists():
        return f"{RUN_VM} is not there; $MINICTR_SHARED names its directory"
    if not (BUILT / f"img/vmlinux-{kernel}").exists():
        return f"{BUILT}/img/vmlinux-{kernel} is not there: {RUN_VM.parent}/build-vm --selinux"
    return ""


def boot(kernel: str, options: list[str | Path], command: list[str | Path]) -> Iterator[str]:
    """Run a command in the machine; the lines that it prints, as they come."""
    whole = [RUN_VM, "--kernel", kernel, *options, "--", *command]
    with subprocess.Popen(
        whole, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield from process.stdout


def make_prefix(scratch: Path) -> Path:
    """minictr as root's pip installs it below /usr/local, for the machine's own python3."""
    prefix = scratch / "local"
    site = prefix / "lib" / PYTHON / "dist-packages"
    site.mkdir(parents=True)
    for name in ("bin", "lib"):
        (prefix / name).mkdir(exist_ok=True)
    write_scripts(prefix / "bin")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "minictr", site / "minictr", ignore=ignore)
    for name in PURE:
        for file in importlib.metadata.files(name) or ():
            if file.suffix == ".py":
                (site / file).parent.mkdir(exist_ok=True)
                shutil.copy(file.locate(), site / file)
    packages = debian("python3-prctl") / "usr/lib/python3/dist-packages"
    for extension in sorted(packages.glob("*prctl*.[ps][yo]")):
        shutil.copy(extension, site)
    for file in SQUASHFS:
        shutil.copy(debian("squashfs-tools") / "usr" / file, prefix / file.split("/")[0])
    shutil.copy(debian("quota") / "usr/sbin/setquota", prefix / "bin")
    compile_modules(site)
    return prefix


def write_scripts(programs: Path) -> None:
    """What pip installs there, the shell script that it takes elsewhere, what drop-in writes."""
    sys.path.insert(0, str(PROJECT))
    from minictr.scripts import installed_script, script_for

    shell = (PROJECT / "scripts/minictr").read_text()
    there = f"/usr/local/lib/{PYTHON}/dist-packages"
    texts = {
        "minictr": installed_script(shell),
        "minictr-shell": shell,
        "singularity": script_for("singularity", f"/usr/bin/{PYTHON}", there, there),
    }
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)


def compile_modules(site: Path) -> None:
    """Compile them here by the machine's python3: the machine, which is emulated, takes minutes."""
    tree = next(iter(sorted(BUILT.glob(f"build/root-{RELEASE}*"))), None)
    if tree is None or os.geteuid():
        return
    command = [f"/usr/bin/{PYTHON}", "-m", "compileall", "-q", "--invalidation-mode"]
    script = 'mount --bind "$1" "$2/mnt"; tree=$2; shift 2; exec chroot "$tree" "$@"'
    subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script, "sh", site, tree,
         *command, "unchecked-hash", "-d", f"/usr/local/lib/{PYTHON}/dist-packages", "/mnt"],
        check=True,
    )  # fmt: skip


def quota_modules(kernel: str, scratch: Path) -> Path:
    """A directory with the modules of quotas, which the machine's root file system has not."""
    place = scratch / f"modules-{kernel}"
    place.mkdir()
    for name in QUOTA:
        built = f"build/k-*/x/**/modules/{kernel}.*/kernel/fs/quota/{name}.ko*"
        (file,) = BUILT.glob(built)
        raw = file.read_bytes()
        (place / f"{name}.ko").write_bytes(lzma.decompress(raw) if file.suffix == ".xz" else raw)
    return place


def debian(package: str) -> Path:
    """The files of a package of the release, and of those that it needs."""
    tree = KEPT / f"{RELEASE}-{package}"
    if not tree.exists():
        KEPT.mkdir(exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=KEPT))
        subprocess.run(
            ["mmdebstrap", "--quiet", "--aptopt=Acquire::Check-Valid-Until \"false\"",
             "--variant=extract", f"--include={package}", RELEASE, part, mirror()],
            check=True,
        )  # fmt: skip
        part.rename(tree)
    return tree


def mirror() -> str:
    """The Debian archive that this machine uses."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return next(line for line in lines if line.rstrip("/").endswith("/debian"))
