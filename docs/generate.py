#!/usr/bin/env python3
"""Writes docs/tour.md and docs/causes.md from the program's own docstrings: they cannot differ.

docs/generate.py           write it
docs/generate.py --check   exit 1 where the page is stale
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from minictr.cli.plan import HELD  # noqa: E402
from minictr.diagnosis import catalogue  # noqa: E402
from minictr.runtime import (  # noqa: E402
    bindtree,
    covers,
    dev,
    execute,
    idmap,
    mounts,
    namespaces,
    network,
    overlay,
    privileges,
    rootfs,
    serve,
    terminal,
)
from minictr.runtime.launch import PHASES, Plan  # noqa: E402

STEPS = {
    "enter": (namespaces.CreateNamespaces,),
    "map_ids": (idmap.MapIds,),
    "isolate": (network.SetHostname, network.RaiseLoopback),
    "build": (
        rootfs.MountStaging, serve.AttachImage, overlay.MakeSkeleton, overlay.MountOverlay,
        rootfs.BindRoot, bindtree.BindTree, rootfs.MakeFiles, mounts.Bind, mounts.BindFile,
        mounts.MountProc, dev.MountMinimalDev, covers.MountEmpty, mounts.CoverCache,
        covers.ProtectProc,
        rootfs.PivotRoot, rootfs.ChangeDirectory,
    ),
    "confine": (
        privileges.CloseDescriptors, privileges.DropBoundingSet, privileges.DropCapabilities,
        privileges.SetNoNewPrivileges,
    ),
    "execute": (
        terminal.TakeTerminal, execute.LoadFilter, execute.EvaluateEnvironment, execute.Execute,
    ),
}  # fmt: skip

HEAD = """# A tour of a launch

*Generated from the steps' docstrings by `just docs`; `minictr plan IMAGE CMD` prints the steps
of one launch, `minictr exec --trace IMAGE CMD` each as it begins.*

A launch is six phases. Each runs in one process, and holds one privilege.

"""


def tour() -> str:
    """The page."""
    parts = [HEAD, inspect.cleandoc(sys.modules[Plan.__module__].__doc__ or ""), ""]
    for number, phase in enumerate(PHASES, 1):
        process, privilege = HELD[phase]
        parts += [f"\n## {number}. {phase}", f"\nProcess: {process}. Privilege: {privilege}.\n"]
        for step in STEPS[phase]:
            parts += [
                f"### {step.__name__}",
                "",
                f"`{step.calls}`",
                "",
                inspect.getdoc(step) or "",
                "",
            ]
    return (
        "\n".join(parts)
        .replace("\n    launcher ", "\n```\n    launcher ", 1)
        .replace("becomes the command\n\n", "becomes the command\n```\n\n", 1)
    )


def main() -> int:
    """Write the pages, or with --check compare them."""
    pages = {PROJECT / "docs/tour.md": tour(), PROJECT / "docs/causes.md": catalogue.page()}
    if sys.argv[1:] == ["--check"]:
        stale = [page for page, text in pages.items() if page.read_text() != text]
        return 1 if stale else 0
    for page, text in pages.items():
        page.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
