"""The shape of the code: who imports whom, what the way to a launch costs, how long things are."""

from __future__ import annotations

import ast
import itertools
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text())
    for path in sorted((ROOT / "minictr").rglob("*.py"))
}
MODULES = {path.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for path in FILES}

FILE_LINES, FUNCTION_LINES = 300, 30
# What is written by hand beside the package is as short: text, programs and their parts.
BESIDE = ("tests", "bench", "docs", "images")
TEXTS = (".py", ".md", ".toml", "")

# The modules of a launch from the cache; what they import at import time belongs to them.
WAY_TO_A_LAUNCH = (
    "minictr.start",
    "minictr.cli.main",
    "minictr.cli.compose",
    "minictr.cli.actions",
    "minictr.request",
    "minictr.host",
    "minictr.image.index",
    "minictr.image.tree",
    "minictr.runtime.plan",
    "minictr.runtime.launch",
    "minictr.runtime.environment",
    "minictr.runtime.seccomp",
)
# Together under 3 ms. `re` alone costs more, argparse twice that.
CHEAP = {
    *("__future__", "posix", "sys", "marshal", "time", "errno", "_socket", "fcntl", "select"),
    *("pwd", "grp", "_signal", "_ctypes", "_struct", "gc"),
    # Frozen into the interpreter, which has loaded both before it looks at a program.
    *("_frozen_importlib", "_frozen_importlib_external", "_imp"),
}

# Where a package that is not the standard library's is imported: one file each.
ONE_FILE = {
    "tomli": {"tomli"},
    "pyseccomp": {"pyseccomp"},
    "python-prctl": {"prctl", "_prctl"},
    "pyroute2": {"pyroute2"},
}


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that some import statement of the file names, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from imported_from(node)


def imported_from(node: ast.ImportFrom) -> Iterator[str]:
    """`from package import module` imports the module, `from module import name` only that."""
    module = str(node.module)
    names = {f"{module}.{alias.name}" for alias in node.names}
    yield from (names & MODULES) or {module}


def runs_at_import(tree: ast.Module) -> ast.Module:
    """The file without its functions and what only the type checker reads."""
    kept = [
        node
        for node in tree.body
        if not isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return ast.Module(kept, [])


def tree_of(module: str) -> ast.Module:
    """The syntax tree of one of our modules."""
    path = module.replace(".", "/")
    return FILES[f"{path}.py"] if f"{path}.py" in FILES else FILES[f"{path}/__init__.py"]


def who_imports(wanted: set[str]) -> set[str]:
    """The files with an import statement for one of these top-level packages."""
    return {
        path
        for path, tree in FILES.items()
        if wanted & {name.split(".")[0] for name in imports(tree)}
    }


def below(*packages: str) -> list[str]:
    """The files of these packages or modules."""
    return [
        path
        for path in FILES
        if any(
            path == f"minictr/{name}.py" or path.startswith(f"minictr/{name}/") for name in packages
        )
    ]


def statements(path: str, *packages: str) -> list[str]:
    """What a file imports of these packages of ours."""
    wanted = tuple(f"minictr.{name}" for name in packages)
    return [name for name in imports(FILES[path]) if name.startswith(wanted)]


@pytest.mark.parametrize("path", below("runtime"))
def test_doing_does_not_know_why_it_fails(path: str) -> None:
    assert statements(path, "diagnosis", "cli") == []


@pytest.mark.parametrize("path", below("diagnosis"))
def test_diagnosis_does_not_know_the_command_line(path: str) -> None:
    assert statements(path, "cli") == []


@pytest.mark.parametrize("path", below("image", "host", "refusal"))
def test_parsers_can_be_fuzzed_alone(path: str) -> None:
    ours = ("minictr.image", "minictr.host", "minictr.refusal", "minictr.value")
    foreign = {
        name
        for name in imports(FILES[path])
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith(ours)
    }
    assert foreign <= {"minictr"}


def test_system_calls_are_made_in_one_file() -> None:
    assert who_imports({"ctypes", "_ctypes"}) == {"minictr/runtime/syscalls.py"}


@pytest.mark.parametrize("dependency", ONE_FILE)
def test_a_dependency_is_imported_in_exactly_one_file(dependency: str) -> None:
    assert len(who_imports(ONE_FILE[dependency])) == 1


def test_what_is_imported_is_a_declared_dependency() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    known = {name.split(">=")[0] for name in declared}
    used = {name.split(".")[0] for tree in FILES.values() for name in imports(tree)}
    used -= {*sys.stdlib_module_names, "minictr"}
    packages = {
        next((package for package, names in ONE_FILE.items() if name in names), name)
        for name in used
    }
    assert packages == known


def test_the_way_to_a_launch_imports_nothing_dear() -> None:
    """Followed through our own modules: a cold one must not be imported by one that is not."""
    seen: set[str] = set()
    waiting = list(WAY_TO_A_LAUNCH)
    dear = []
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for name in imports(runs_at_import(tree_of(module))):
            if name in MODULES:
                waiting.append(name)
            elif name not in CHEAP:
                dear.append(f"{module} imports {name}")
    assert dear == []


@pytest.mark.parametrize("path", FILES)
def test_a_file_opens_with_one_sentence_saying_its_job(path: str) -> None:
    source = (ROOT / path).read_text()
    assert source.startswith('"""')
    sentence = str(ast.get_docstring(FILES[path])).split("\n\n", maxsplit=1)[0].replace("\n", " ")
    assert sentence.endswith(".")
    ends = [
        mark
        for mark, after in itertools.pairwise(sentence.split())
        if mark.endswith(".") and after[0].isupper()
    ]
    assert ends == []


@pytest.mark.parametrize("directory", sorted({str(Path(path).parent) for path in FILES}))
def test_a_package_is_no_namespace_package(directory: str) -> None:
    assert f"{directory}/__init__.py" in FILES


def written_beside() -> Iterator[Path]:
    """The files by hand beside the package: no images, no texts that a test keeps."""
    for directory in BESIDE:
        for path in sorted((ROOT / directory).rglob("*")):
            inside = path.relative_to(ROOT)
            hidden = any(part.startswith((".", "__")) for part in inside.parts)
            if (
                path.is_file()
                and path.suffix in TEXTS
                and not hidden
                and "data" not in inside.parts
            ):
                yield path


def programs() -> dict[str, ast.Module]:
    """Every file of Python, ours and those beside the package."""
    found = dict(FILES)
    for path in written_beside():
        first = path.read_text().partition("\n")[0]
        if path.suffix == ".py" or (first.startswith("#!") and "python" in first):
            found[str(path.relative_to(ROOT))] = ast.parse(path.read_text())
    return found


def test_files_are_short() -> None:
    by_hand = {
        str(path.relative_to(ROOT))
        for path in written_beside()
        if "*Generated from " not in path.read_text() or path.suffix != ".md"
    }
    assert {"tests/unit/test_layout.py", "bench/launch", "docs/generate.py"} < by_hand
    lengths = {path: len((ROOT / path).read_text().splitlines()) for path in {*FILES, *by_hand}}
    assert {path: lines for path, lines in lengths.items() if lines >= FILE_LINES} == {}


def test_functions_are_short() -> None:
    """A docstring does not count: it is there to be long enough."""
    long = set()
    for path, tree in programs().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = int(node.end_lineno or 0) - node.lineno + 1
                if ast.get_docstring(node):
                    lines -= int(node.body[0].end_lineno or 0) - node.body[0].lineno + 1
                if lines >= FUNCTION_LINES:
                    long.add(f"{path}: {node.name}, {lines} lines")
    assert long == set()


def test_no_test_is_skipped_but_through_require() -> None:
    """So that each is counted by the code or the word of what it lacks."""
    skips = {
        path
        for path, tree in programs().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("skip", "skipif", "importorskip")
    }
    assert skips == {"tests/skipping.py"}


def test_what_a_class_shares_is_not_annotated() -> None:
    """Every annotation of a Value is a field of it, ClassVar or not."""
    annotated = {
        f"{path}:{node.lineno}"
        for path, tree in FILES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and "ClassVar" in ast.unparse(node.annotation)
    }
    assert {place.partition(":")[0] for place in annotated} == {"minictr/value.py"}, annotated
