"""Makes an OCI bundle of a tree, which is what crun runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path


def bundle(crun: str, tree: str, directory: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The command that runs `true` in the tree, read-only.

    The configuration is crun's own for an ordinary user: the same namespaces, with a network
    namespace and without a seccomp filter. No cgroup, for which crun wants a session bus.
    """
    directory.mkdir()
    made = [crun, "spec", "--rootless", "--bundle", str(directory)]
    if subprocess.run(made, check=False, env=environ, capture_output=True).returncode == 0:
        file = directory / "config.json"
        wanted = json.loads(file.read_text())
        wanted["process"] |= {"args": ["true"], "terminal": False}
        wanted["root"] = {"path": tree, "readonly": True}
        file.write_text(json.dumps(wanted))
    return (crun, "--cgroup-manager=disabled", "run", "--bundle", str(directory), "minictr-bench")
