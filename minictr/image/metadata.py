"""The objects of a SIF that describe its root file system: recipe and metadata."""

from __future__ import annotations

import json

from minictr.image import sif
from minictr.image.describe import ENVIRONMENT, RUNSCRIPT, read, sources
from minictr.image.lookup import explain
from minictr.image.tree import kind_of
from minictr.refusal import Refusal

METADATA = "/.singularity.d"
Object = tuple[int, str, bytes]  # type, name, content


def describe_objects(root: str, recipe: str) -> list[Object]:
    """The objects before the partition: a definition file if there is one, and the metadata."""
    try:
        recipe = recipe or optional(root, f"{METADATA}/Singularity")
        metadata = json.dumps(inspect(root, recipe), separators=(",", ":")).encode()
    except OSError as error:
        raise explain(error.filename or root, "open(2)", error) from error
    objects: list[Object] = [(sif.GENERIC_JSON, "inspect-metadata.json", metadata)]
    if recipe:
        objects.insert(0, (sif.DEFFILE, "", recipe.encode("utf-8", "surrogateescape")))
    return objects


def inspect(root: str, recipe: str) -> dict[str, object]:
    """What `apptainer inspect --all --json` says of an image; absent parts are left out."""
    labels = optional(root, f"{METADATA}/labels.json")
    parts: dict[str, object] = {
        "environment": {
            path: text.strip("\n")
            for path, text in sources(root)
            if path.startswith((f"{ENVIRONMENT}/90-", f"{ENVIRONMENT}/91-"))
        },
        "labels": read_labels(root, labels) if labels else {},
        "runscript": optional(root, RUNSCRIPT),
        "test": optional(root, f"{METADATA}/test"),
        "helpfile": optional(root, f"{METADATA}/runscript.help"),
        "deffile": recipe,
        "startscript": optional(root, f"{METADATA}/startscript"),
    }
    kept = {
        name: part.rstrip("\n") if isinstance(part, str) else part for name, part in parts.items()
    }
    return {"data": {"attributes": {k: v for k, v in kept.items() if v}}, "type": "container"}


def read_labels(root: str, text: str) -> dict[str, str]:
    """labels.json: an object whose values are strings."""
    try:
        labels = json.loads(text)
    except ValueError as error:
        labels = str(error)
    if isinstance(labels, dict) and all(isinstance(value, str) for value in labels.values()):
        return labels
    proof = labels if isinstance(labels, str) else "it is not an object of strings"
    raise Refusal("usage", f"{root}{METADATA}/labels.json is not a list of labels", proof)


def optional(root: str, path: str) -> str:
    """The text of a file of the tree without its last newlines, "" where there is none."""
    return read(root, path).rstrip("\n") if kind_of(root, path) == "file" else ""
