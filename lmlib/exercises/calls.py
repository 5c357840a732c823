"""What an answer calls, read from the syntax of a notebook's cells.

An exercise asks for something to be written that a library has. This finds the answers
that call it instead. It is a rule of the course among honest people, no wall: whoever
hides a call from it can (`getattr` with a name put together, `exec`).
"""

import ast
import functools
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

#: What every exercise forbids: this library has them all.
LIBRARY = ("lmlib",)
#: Characters times magics of a cell that is looked at: seconds.
MOST_MAGICS = 1 << 20


def library_is_allowed() -> bool:
    """Whether the course has switched this rule off, by LMLIB_ALLOW_LIBRARY=1."""
    return os.environ.get("LMLIB_ALLOW_LIBRARY", "") == "1"


def forbidden_call(
    cells: Iterable[str],
    answer: str,
    forbidden: Sequence[str],
    others: Collection[str] = (),
) -> str | None:
    """The first of `forbidden` that the answer uses, itself or by its own helpers.

    Parameters:
        cells: the notebook's code in the order in which it ran.
        answer: the name under which the answer is defined.
        forbidden: dotted names, such as "torch.nn.MultiheadAttention"; one of a package
            stands for all that is in it.
        others: names that are not followed: answers to other exercises, each of which
            is judged by itself.

    Returns:
        The full name of what is used, or None. Names that are imported under others are
        seen through; annotations and decorators count as use.
    """
    imported: dict[str, str] = {}
    defined: dict[str, list[ast.stmt]] = {}
    for statement, adds in _statements(cells):  # of a name, the last meaning counts
        for name, full in _imports(statement):
            imported[name] = full
            defined.pop(name, None)
        for name in _binds(statement):
            if not adds:
                imported.pop(name, None)
                defined.pop(name, None)
            defined.setdefault(name, []).append(statement)
    seen = set(others) - {answer}
    waiting = [answer]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if _is_of(imported.get(name, ""), forbidden):
            return imported[name]
        for statement in defined.get(name, ()):
            names = {**imported, **_own_imports(statement)}
            for used in _used(statement):
                first, *rest = used.split(".")
                full = ".".join([names.get(first, ""), *rest])
                if _is_of(full, forbidden):
                    return full
                waiting.append(first)
    return None


def _is_of(name: str, packages: Sequence[str]) -> bool:
    return any(
        name == package or name.startswith(f"{package}.") for package in packages
    )


def _statements(cells: Iterable[str]) -> Iterator[tuple[ast.stmt, bool]]:
    """The statements of cells that are in no definition.

    With each, whether a name may also keep what it meant before: in a branch.
    """
    for cell in cells:
        body = _parsed(cell)
        for statement in body:
            for inner in _flat([statement]):
                adds = inner is not statement or isinstance(inner, ast.AugAssign)
                yield inner, adds


def _parsed(cell: str) -> list[ast.stmt]:
    """The statements of a cell, those within its magics too; none if it did not run."""
    text = cell
    try:
        try:
            body = ast.parse(text).body
        except SyntaxError:
            text = _as_python(cell)
            body = ast.parse(text).body
        if any(method in text for method in _RUN):
            body = _Unfolded().visit(ast.Module(body, [])).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return body


@functools.lru_cache(maxsize=512)
def _as_python(cell: str) -> str:
    """What IPython makes of a cell before it runs it: its magics become calls."""
    if sum(map(cell.count, "%!?")) * len(cell) > MOST_MAGICS:
        return cell  # it reads the whole cell once more for each magic
    try:
        # Only a cell that IPython ran can need it.
        from IPython.core.inputtransformer2 import TransformerManager

        return TransformerManager().transform_cell(cell)
    except (ImportError, RuntimeError):
        return cell


#: What runs the code that is its last argument: IPython keeps `%%time` in this form.
_RUN = ("run_cell", "run_cell_magic", "run_line_magic")


class _Unfolded(ast.NodeTransformer):
    """Puts the code that is handed to `%%time` and the like in the place of the call.

    What is no Python, as that of `%%bash`, stays the call that it is.
    """

    def visit_Expr(self, node: ast.Expr) -> Any:
        return _handed_on(node.value) or self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        match _handed_on(node):
            case [ast.Expr(value)]:
                return value
        return self.generic_visit(node)


def _handed_on(node: ast.expr) -> list[ast.stmt]:
    match node:
        case ast.Call(ast.Attribute(attr=method), [*_, ast.Constant(str(text))]):
            return _parsed(text) if method in _RUN else []
    return []


def _flat(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements, and those within `if`, `try`, `with` and loops, in their order."""
    for statement in body:
        yield statement
        if isinstance(statement, _DEFINITIONS):
            continue
        for inner in ("body", "handlers", "orelse", "finalbody"):
            for one in getattr(statement, inner, ()):
                yield from _flat(
                    one.body if isinstance(one, ast.ExceptHandler) else [one]
                )


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(the name here, the full name) of what an import statement imports."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            first = alias.name.split(".")[0]
            yield alias.asname or first, alias.name if alias.asname else first
    elif isinstance(node, ast.ImportFrom) and not node.level:
        for alias in node.names:
            yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _own_imports(statement: ast.stmt) -> dict[str, str]:
    """What is imported within a definition."""
    return {k: v for node in ast.walk(statement) for k, v in _imports(node)}


def _binds(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement gives a value."""
    if isinstance(statement, _DEFINITIONS):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _used(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement uses, with attributes, such as `F.softmax`.

    A definition's parameters and variables are its own, whatever else has their names.
    """
    inside = list(ast.walk(statement))
    own = {node.arg for node in inside if isinstance(node, ast.arg)}
    if isinstance(statement, _DEFINITIONS):
        own |= {
            node.id
            for node in inside
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        names = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load) and node.id not in own:
                yield ".".join([node.id, *reversed(names)])
        else:
            pending += ast.iter_child_nodes(node)
