"""Installs the start script that is fastest here (docs/install.md); pyproject.toml has the rest."""

import os
import sys
from pathlib import Path

# setuptools first: distutils is what it brings along.
from setuptools import setup  # isort: skip
from distutils.command.build_scripts import build_scripts  # isort: skip

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from minictr.scripts import SYSTEM_PYTHON, installed_script  # noqa: E402


class BuildScripts(build_scripts):
    """Writes the start script for the system's python3 where that is what installs."""

    def initialize_options(self) -> None:
        """Have the flag that an editable installation sets."""
        super().initialize_options()
        self.editable_mode = False

    def run(self) -> None:
        """Make it as it lies in scripts/, or replace it."""
        super().run()
        base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        portable = os.environ.get("MINICTR_START_SCRIPT") == "portable"
        if portable or base != os.path.realpath(SYSTEM_PYTHON):
            return
        text = installed_script(
            (HERE / "scripts/minictr").read_text(), str(HERE) if self.editable_mode else ""
        )
        Path(self.build_dir, "minictr").write_text(text)


setup(cmdclass={"build_scripts": BuildScripts})
