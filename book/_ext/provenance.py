"""Which code made a recorded result, and whether it is still that code.

A record holds under "code" a fingerprint of every module that its script reaches. A
fingerprint is of what a module does: another comment, docstring or line break leaves it
as it is. Where one differs now, the record is not wrong, but nobody has tried whether
today's code gives the same numbers, and the page that shows it says so.

    python book/_ext/provenance.py          # which records are of older code
    python book/_ext/provenance.py --stamp  # for records that do not say it, ask git

Records made before they said this get the code of the commit that brought them.
"""

import argparse
import ast
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

BOOK = Path(__file__).resolve().parent.parent
ROOT = BOOK.parent
SCRIPTS = Path("book/_experiments")  # relative to ROOT; they import from each other

Code = dict[str, str]  # path relative to the root → fingerprint


def imported(code: str, package: str = "") -> set[str]:
    """The names of the modules that `code`, a module of `package`, may import.

    Imports inside functions count. `from a import b` may import `a.b`, and whatever
    imports `a.b` imports `a`.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError:  # it is reported where it is run
        return set()
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
    return {".".join(p[: i + 1]) for p in parts for i in range(len(p))}


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
                found = imported(code, around)
                if "pkgutil.iter_modules" in code:
                    beside = path.parent.glob("*/__init__.py")
                    found |= {f"{around}.{init.parent.name}" for init in beside}
                waiting |= found - seen
    return files


def fingerprint(code: str) -> str:
    """A hash of what the code does: comments, docstrings and layout do not count."""
    tree = ast.parse(code)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:12]


def code_of(script: Path, root: Path = ROOT) -> Code:
    """The fingerprints of a script, named relative to `root`, and all it reaches."""
    code = (root / script).read_text(encoding="utf-8")
    files = reached(imported(code), (root, root / SCRIPTS)) | {root / script}
    return {
        file.relative_to(root).as_posix(): fingerprint(file.read_text(encoding="utf-8"))
        for file in sorted(files)
    }


def changed(record: dict[str, Any], root: Path = ROOT) -> list[str] | None:
    """The files of a record's code that are other ones now; None: it names no code."""
    if "code" not in record:
        return None
    return [
        name
        for name, old in record["code"].items()
        if not (root / name).is_file()
        or fingerprint((root / name).read_text(encoding="utf-8")) != old
    ]


def kept(script: Path, old: dict[str, Any] | None) -> dict[str, Code]:
    """What to put into a record: its code, where rows of an older one are kept.

    A record is as old as its oldest row: what has changed since stays changed.
    """
    if old and "code" not in old:
        return {}
    code = code_of(script)
    return {"code": code | (old or {"code": {}})["code"]}


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
        record |= {"code_of": f"commit {commit[:12]}"}
        record |= {"code": code_of(script, Path(folder)), "rows": rows}
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
        files = changed(record)
        if files is None:
            print(f"{path.stem}: does not say which code made it")
        else:
            print(f"{path.stem}: {', '.join(files) or 'of today’s code'}")


if __name__ == "__main__":
    main()
