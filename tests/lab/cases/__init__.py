"""The faults, one module for each kind of step; CASES holds them all."""

from __future__ import annotations

import importlib
import pkgutil

from lab.bench import Case

CASES: list[Case] = []
for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    CASES += getattr(importlib.import_module(_module.name), "CASES", [])
