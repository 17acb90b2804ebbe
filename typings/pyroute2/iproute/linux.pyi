# What diagnosis/probes/links.py uses of pyroute2 0.9, which carries no types.
from typing import Self, TypedDict

class _Link(TypedDict):
    flags: int

class IPRoute:
    def __enter__(self) -> Self: ...
    def __exit__(self, *why: object) -> None: ...
    def link(self, command: str, *, index: int, state: str = ...) -> list[_Link]: ...
