"""Which code made a recorded result, and whether it is still that code.

A record holds under "code" its script, and for each file that this reaches a
fingerprint of the definitions there that it may use: those that it names, those that
these name, and so on. Another comment, docstring or line break leaves a fingerprint as
it is. Where one differs now the record is not wrong, but nobody has tried whether
today's code gives the same numbers, and the page that shows it says so.

    python book/_ext/provenance.py          # which records are of older code
    python book/_ext/provenance.py --stamp  # for records that do not say it, ask git

Records made before they said this get the code of the commit that brought them. What is
found by its name at run time, and data, has no fingerprint.
"""

import argparse
import ast
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

BOOK = Path(__file__).resolve().parent.parent
ROOT = BOOK.parent
SCRIPTS = Path("book/_experiments")  # relative to ROOT; they import from each other

Code = dict[str, str]  # path relative to the root → fingerprint


@cache  # each module is reached from nearly every page
def imported(code: str, package: str = "") -> frozenset[str]:
    """The names of the modules that `code`, a module of `package`, may import.

    Imports inside functions count. `from a import b` may import `a.b`, and whatever
    imports `a.b` imports `a`.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError:  # it is reported where it is run
        return frozenset()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            origin = ".".join(filter(None, (*above, node.module)))
            names.add(origin)
            names.update(f"{origin}.{alias.name}" for alias in node.names)
    parts = (name.split(".") for name in names)
    return frozenset(".".join(p[: i + 1]) for p in parts for i in range(len(p)))


def reached(names: Iterable[str], roots: Iterable[Path]) -> set[Path]:
    """The files under `roots` of these modules and of all that they import in turn.

    A module that asks `pkgutil` for the packages beside it may import all of them.
    """
    files: set[Path] = set()
    seen: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for root in roots:
            stem = root.joinpath(*name.split("."))
            package = stem / "__init__.py"
            path = package if package.is_file() else stem.with_name(f"{stem.name}.py")
            if path.is_file():
                files.add(path)
                around = name if path == package else name.rpartition(".")[0]
                code = path.read_text(encoding="utf-8")
                found = set(imported(code, around))
                if "pkgutil.iter_modules" in code:
                    beside = path.parent.glob("*/__init__.py")
                    found |= {f"{around}.{init.parent.name}" for init in beside}
                waiting |= found - seen
    return files


# -- Fingerprints ---------------------------------------------------------------------

Names = frozenset[tuple[Path, str]]  # a definition at the top level of a file
WRITES = "experiment.py", "main"  # it writes down what runs return, and makes no number


class Module:
    """A file's definitions, and what its names stand for."""

    def __init__(self, path: Path, roots: tuple[Path, ...]) -> None:
        self.path, self.roots = path, roots
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        for node in ast.walk(tree):
            if isinstance(node, documented) and ast.get_docstring(node, clean=False):
                node.body = node.body[1:] or [ast.Pass()]
        self.defined: dict[str, list[ast.stmt]] = {}
        self.loose: list[ast.stmt] = []  # is run whatever is imported
        for node in tree.body:
            if names := self.names_of(node):
                for name in names:
                    self.defined.setdefault(name, []).append(node)
            elif not isinstance(node, ast.Import | ast.ImportFrom):
                self.loose.append(node)
        self.meant: dict[str, tuple[str, str]] = {}  # name → module, name in it or ""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    whole = alias.name if alias.asname else top
                    self.meant[alias.asname or top] = (whole, "")
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    self.meant[alias.asname or alias.name] = (node.module, alias.name)

    @staticmethod
    def names_of(node: ast.stmt) -> list[str]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            return [node.name]
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets += [node.target] if isinstance(node, ast.AnnAssign) else []
        parts = (part for target in targets for part in ast.walk(target))
        return [part.id for part in parts if isinstance(part, ast.Name)]

    @cache  # noqa: B019 (a build is short)
    def text(self, node: ast.stmt) -> str:
        return ast.unparse(node)

    @cache  # noqa: B019
    def file(self, module: str) -> Path | None:
        for root in self.roots:
            stem = root.joinpath(*module.split("."))
            for path in (stem / "__init__.py", stem.with_name(f"{stem.name}.py")):
                if path.is_file():
                    return path
        return None

    @cache  # noqa: B019
    def used(self, node: ast.AST) -> Names:
        """The definitions of any file that a piece of this one names."""
        found: set[tuple[Path, str]] = set()
        for part in ast.walk(node):
            chain: list[str] = []
            while isinstance(part, ast.Attribute):
                chain.insert(0, part.attr)
                part = part.value
            if not isinstance(part, ast.Name):
                continue
            if part.id in self.defined:
                found.add((self.path, part.id))
            if part.id in self.meant:
                module, name = self.meant[part.id]
                chain = [name, *chain] if name else chain
                while chain and self.file(f"{module}.{chain[0]}"):
                    module = f"{module}.{chain.pop(0)}"
                if (path := self.file(module)) and chain:
                    found.add((path, chain[0]))
        return frozenset(found)


@cache
def parsed(path: Path, roots: tuple[Path, ...], changed: int) -> Module:
    return Module(path, roots)


def read(path: Path, roots: tuple[Path, ...]) -> Module:
    return parsed(path, roots, path.stat().st_mtime_ns)


def code_of(script: Path, root: Path = ROOT) -> Code:
    """The fingerprints of what a script, named relative to `root`, may use."""
    roots = (root, root / SCRIPTS)
    modules: dict[Path, Module] = {}
    first = read(root / script, roots)
    modules[first.path] = first
    waiting = {(first.path, name) for name in first.defined}
    waiting |= {use for node in first.loose for use in first.used(node)}
    seen: set[tuple[Path, str]] = set()
    while waiting:
        path, name = waiting.pop()
        seen.add((path, name))
        if (path.name, name) == WRITES:
            continue
        if path not in modules:
            modules[path] = read(path, roots)
            for node in modules[path].loose:
                waiting |= modules[path].used(node) - seen
        module = modules[path]
        for node in module.defined.get(name, []):
            waiting |= module.used(node) - seen
        if name not in module.defined and name in module.meant:  # passed on
            waiting |= module.used(ast.Name(name)) - seen
    code = {}
    for path, module in sorted(modules.items()):
        names = sorted(n for p, n in seen if p == path and (p.name, n) != WRITES)
        nodes = [node for name in names for node in module.defined.get(name, [])]
        text = "\n".join(map(module.text, [*module.loose, *dict.fromkeys(nodes)]))
        if text:
            digest = hashlib.sha256(text.encode()).hexdigest()[:12]
            code[Path(os.path.relpath(path, root)).as_posix()] = digest
    return code


def changed(record: dict[str, Any], root: Path = ROOT) -> list[str]:
    """The files of which a record's scripts use other code than when they made it.

    Raises:
        KeyError: the record does not say which code made it.
    """
    found = set()
    for script, old in record["code"].items():
        new = code_of(Path(script), root) if (root / script).is_file() else {}
        found |= {name for name in {*old, *new} if old.get(name) != new.get(name)}
    return sorted(found)


def code_to_record(script: Path, olds: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What a record says of its code if it keeps rows of older ones.

    It is as old as its oldest row: where theirs was another, theirs is named.
    """
    name, code = Path(os.path.relpath(script, ROOT)).as_posix(), code_of(script)
    for old in olds:
        if "code" not in old:
            return {}
        code |= {n: f for n, f in old["code"][name].items() if code.get(n) != f}
    return {"code": {name: code}}


# -- The command ----------------------------------------------------------------------


def git(*arguments: str) -> bytes:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True
    ).stdout


def stamp(path: Path) -> None:
    """Give a record the code of the commit that brought it."""
    record = json.loads(path.read_text(encoding="utf-8"))
    name = path.relative_to(ROOT).as_posix()
    commit = git("log", "-1", "--format=%H", "--", name).decode().strip()
    if not commit or git("status", "--porcelain", "--", name):
        raise SystemExit(f"{name} is not committed as it is: git cannot tell its code")
    rows = record.pop("rows")
    with tempfile.TemporaryDirectory() as folder:
        tar = git("archive", "--format=tar", commit, "--", "lmlib", "book")
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            archive.extractall(folder, filter="data")
        script = SCRIPTS / f"{path.stem}.py"
        code = {script.as_posix(): code_of(script, Path(folder))}
        record |= {"code_of": f"commit {commit[:12]}", "code": code, "rows": rows}
    new = path.with_name(f".{path.name}")
    new.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stamp", action="store_true", help="ask git, where mute")
    given = parser.parse_args()
    for path in sorted((ROOT / SCRIPTS).glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if given.stamp and "code" not in record:
            stamp(path)
            record = json.loads(path.read_text(encoding="utf-8"))
        if "code" not in record:
            print(f"{path.stem}: does not say which code made it")
            continue
        files = ", ".join(changed(record))
        print(f"{path.stem}: {files or 'of today’s code'}")


if __name__ == "__main__":
    main()
