"""Environments for tests, gathered as a launch gathers them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minictr.image.tree import Tree
from minictr.request import Request
from minictr.runtime.environment import Environment, gather


def gathered(
    scripts: Iterable[tuple[str, str]] = (),
    caller: Mapping[str, str] | None = None,
    asked: Mapping[str, str] | None = None,
    shell: bool = True,
    **fields: Any,
) -> Environment:
    """The environment for an image, /images/hello.sif, of a caller in /work.

    shell: whether the image has one; shell_asked: the request's own field of that name.
    """
    tree = Tree("/", "sif", "", "", shell, tuple(scripts))
    if "shell_asked" in fields:
        fields["shell"] = fields.pop("shell_asked")
    fields = {"action": "exec", "image": "/images/hello.sif", "command": ("true",)} | fields
    request = Request(
        program="minictr",
        host_environment=tuple((caller or {}).items()),
        environment=tuple((asked or {}).items()),
        **fields,
    )
    return gather(request, tree, "/home/who", "/work")
