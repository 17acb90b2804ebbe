"""The golden reports are made in the lab."""

from lab.conftest import lab, pattern

__all__ = ["lab", "pattern"]
