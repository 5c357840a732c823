"""The house has no circles, and its arrows point one way.

Read from the source, with the imports inside functions and those for type checkers:
what is put off until a call is a dependency all the same.
"""

import ast
from pathlib import Path

import pytest

LMLIB = Path(__file__).resolve().parents[1] / "lmlib"
#: Each may import from those before it, and from itself.
LAYERS = ("core", "exercises", "grading", "commands", "cli", "warm_start")


def graph(root: Path) -> dict[str, set[str]]:
    """The modules of the package at `root`, each with those that it imports."""
    found = {}
    for path in root.rglob("*.py"):
        parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    edges: dict[str, set[str]] = {name: set() for name in found}
    for name, path in found.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative imports are not followed"
                # A name of a package is a module of it, or something that it defines.
                named = [f"{node.module}.{alias.name}" for alias in node.names]
                named = [n if n in found else node.module or "" for n in named]
            else:
                continue
            edges[name] |= {n for n in named if n in found} - {name}
    return edges


def circles(edges: dict[str, set[str]]) -> set[frozenset[str]]:
    """Sets of modules that all import one another, directly or not."""
    reach: dict[str, set[str]] = {}
    for start in edges:
        seen, waiting = set(), [start]
        while waiting:
            new = edges[waiting.pop()] - seen
            seen |= new
            waiting += new
        reach[start] = seen
    return {
        frozenset(other for other in reach[name] if name in reach[other])
        for name in edges
        if name in reach[name]
    }


def layer(module: str) -> int:
    part = module.split(".")[1] if "." in module else ""
    return LAYERS.index(part) if part in LAYERS else 0


def upward(edges: dict[str, set[str]]) -> list[str]:
    """The imports of a higher layer."""
    return [
        f"{name} imports {other}"
        for name, others in edges.items()
        for other in sorted(others)
        if layer(other) > layer(name)
    ]


def test_there_is_no_circle():
    assert circles(graph(LMLIB)) == set()


def test_no_arrow_points_upwards():
    assert upward(graph(LMLIB)) == []


@pytest.mark.parametrize(
    "line",
    [
        "from lmlib import cli",
        "from lmlib.grading import batch",
        "def f():\n    import lmlib.grading.batch",
        "if TYPE_CHECKING:\n    from lmlib.grading.batch import grade",
    ],
)
def test_an_arrow_upwards_is_found(tmp_path, line):
    root = tmp_path / "lmlib"
    for name in ("__init__", "cli", "attention", "grading/__init__", "grading/batch"):
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / f"{name}.py").write_text("")
    assert upward(graph(root)) == []
    (root / "attention.py").write_text(line)
    assert len(upward(graph(root))) == 1
    assert circles(graph(root)) == set()
    for name in ("cli", "grading/batch"):
        (root / f"{name}.py").write_text("from lmlib.attention import layer")
    assert len(circles(graph(root))) == 1
