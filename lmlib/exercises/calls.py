"""What an answer calls, read from the syntax of a notebook's cells.

An exercise asks for something to be written that a library has. This finds the answers
that call it instead. It is a rule of the course among honest people, no wall: whoever
hides a call from it can (`getattr` with a name put together, `exec`).
"""

import ast
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence

#: What every exercise forbids: this library has them all.
LIBRARY = ("lmlib",)


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
    """The statements of cells that are in no definition, without magics.

    With each, whether a name may also keep what it meant before: in a branch.
    """
    for cell in cells:
        plain = re.sub(r"^(\s*)[%!?].*$", r"\1pass", cell, flags=re.MULTILINE)
        try:
            body = ast.parse(plain).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # it did not run either
        for statement in body:
            for inner in _flat([statement]):
                adds = inner is not statement or isinstance(inner, ast.AugAssign)
                yield inner, adds


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
