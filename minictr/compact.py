"""Compiles a module for launches: without what only readers and type checkers look at."""

import __future__

import ast
from types import CodeType

# What a module compiled with `resolved` finds as a global: sys.modules.
MODULES = "__modules__"


def compact(source: bytes, origin: str, resolved: bool = False) -> CodeType:
    """The module's code, as it would be if its author had left out docstrings and annotations.

    A third less to read and to run. The annotations of a class stay: a Value's fields are those.
    Lines keep their numbers, and asserts go with the docstrings, as under `python -OO`.

    source    a module that has `from __future__ import annotations`, or needs no annotation
    origin    its file, which tracebacks name
    resolved  whether all that it imports of this package has been imported when it runs
    """
    tree = Compact().visit(ast.parse(source, origin))
    if resolved:
        tree.body = [plain for statement in tree.body for plain in without_search(statement)]
    flags = __future__.annotations.compiler_flag
    code: CodeType = compile(tree, origin, "exec", flags, dont_inherit=True, optimize=2)
    return code


def without_search(statement: ast.stmt) -> list[ast.stmt]:
    """What `from minictr.part import name` comes to where that part is there already.

    The statement itself would look for a `__path__` first, and have an error made of its absence.
    """
    if not isinstance(statement, ast.ImportFrom) or not within(statement.module):
        return [statement]
    lines = [
        f"{alias.asname or alias.name} = {MODULES}[{statement.module!r}].{alias.name}"
        for alias in statement.names
    ]
    plain = ast.parse("\n".join(lines)).body
    for node in (part for line in plain for part in ast.walk(line)):
        ast.copy_location(node, statement)
    return plain


def within(module: str | None) -> bool:
    """Whether a module is one of this package."""
    return module is not None and module.partition(".")[0] == "minictr"


class Compact(ast.NodeTransformer):
    """Takes the annotations off functions, and what stands under `if TYPE_CHECKING`."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """A function: neither its parameters nor its result are described."""
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """A parameter."""
        node.annotation = None
        return node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """`if TYPE_CHECKING`: what an else holds is all that a run sees."""
        self.generic_visit(node)
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """The import that a flag of compile() stands for."""
        return None if node.module == "__future__" else node
