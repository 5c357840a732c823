"""Text that every installation has: the language reference and docstrings.

Source files are parsed, never imported or run. The text differs with the versions
that are installed: record `digest(documents)` beside a result.

A module is whole in one split, decided by a hash of its name and its size. Text that
modules share is removed: first duplicates over everything, then from the validation and
test sets what training has seen in part.
"""

import ast
import hashlib
import importlib.util
import inspect
import json
import os
import sys
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lmlib.data.cache import cache_folder, kept_if_possible, replacing
from lmlib.data.documents import (
    Document,
    Labelled,
    Split,
    check_split,
    n_bytes,
    shared,
    split_by_size,
    unique,
)

SOURCES = ("reference", "stdlib", "numpy", "torch", "matplotlib")

# Of two texts that share so much of the shorter one only the longer is kept, and what
# shares so much with the training set is not held out.
DUPLICATE, SEEN = 0.5, 0.2

_FORMAT = 1  # of the cached file; to be raised when what is collected changes
_LEFT_OUT = {
    *("test", "tests", "idle_test", "site-packages", "lib2to3", "pydoc_data"),
    "__pycache__",
}
_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class SourceSize:
    """What one source gave: all that was found, and what each split kept of it."""

    source: str
    found: int
    found_bytes: int
    kept: dict[str, int]
    kept_bytes: dict[str, int]


def installed_docstrings(
    split: Split = "train", *, sources: Sequence[str] = SOURCES
) -> list[Document]:
    """One document for each docstring and each topic of the language reference.

    Its name is `module:object`, its source one of `sources`: "reference", "stdlib",
    or any installed package by its import name.

    The first call reads all source files (half a minute); the result is cached until
    one of them changes.

    Raises:
        ValueError: a source is neither known nor an installed package.
    """
    check_split(split)
    documents, _ = _collected(tuple(sources))
    splits = list(documents) if split == "all" else [split]
    return [document for name in splits for document in documents[name]]


def found_docstrings(*, sources: Sequence[str] = SOURCES) -> list[Document]:
    """What `installed_docstrings` begins with: everything, duplicates and all.

    For measuring what a split of it would be worth. Nothing is cached, and reading all
    source files takes some seconds.

    Raises:
        ValueError: a source is neither known nor an installed package.
    """
    files = {source: _files(source) for source in sources}
    return [document for found in _found(files).values() for document in found]


def installed_documents(
    split: Split = "train", *, sources: Sequence[str] = SOURCES
) -> list[Document]:
    """One document for each module: its docstrings in order, an empty line between."""
    modules: dict[tuple[str, str], list[str]] = {}
    for d in installed_docstrings(split, sources=sources):
        modules.setdefault((d.source, module_of(d)), []).append(d.text)
    return [
        Document("\n\n".join(texts), module, source)
        for (source, module), texts in modules.items()
    ]


def installed_packages(
    split: Split = "train",
    *,
    sources: Sequence[str] = ("stdlib", "numpy", "torch", "matplotlib"),
    min_words: int = 8,
) -> Labelled:
    """The task "which package does this docstring come from", without the short ones.

    Packages differ in size, and many docstrings name their package: a classifier must
    be compared with the largest class, and with a search for the name.
    """
    documents = [
        d
        for d in installed_docstrings(split, sources=sources)
        if len(d.text.split()) >= min_words
    ]
    labels = np.array([list(sources).index(d.source) for d in documents], np.int64)
    return Labelled([d.text for d in documents], labels, tuple(sources))


def installed_sizes(sources: Sequence[str] = SOURCES) -> list[SourceSize]:
    """Documents and bytes of each source, found and kept."""
    return _collected(tuple(sources))[1]


def module_of(document: Document) -> str:
    """The module of a docstring's document; a topic is a module by itself."""
    return document.name.partition(":")[0]


# -- Collecting, and the cache of it --------------------------------------------------

_Collected = tuple[dict[str, list[Document]], list[SourceSize]]


def _collected(sources: tuple[str, ...]) -> _Collected:
    files = {source: _files(source) for source in sources}
    key = _key(files)
    try:
        path = cache_folder() / "installed" / f"{key}.json"
        stored = json.loads(path.read_text(encoding="utf-8"))
        return (
            {s: [Document(*d) for d in rows] for s, rows in stored["splits"].items()},
            [SourceSize(**row) for row in stored["sizes"]],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # there is none, or a damaged one
    documents, sizes = _collect(files)
    rows = {s: [[d.text, d.name, d.source] for d in documents[s]] for s in documents}
    stored = {"splits": rows, "sizes": [asdict(size) for size in sizes]}
    with (
        kept_if_possible(),
        replacing(cache_folder() / "installed" / f"{key}.json") as temporary,
    ):
        temporary.write_text(
            json.dumps(stored, ensure_ascii=False), encoding="utf-8", newline=""
        )
    return documents, sizes


def _found(files: dict[str, list[tuple[str, Path]]]) -> dict[str, list[Document]]:
    return {
        source: [
            Document(text, name, source)
            for module, path in files[source]
            for name, text in _texts(source, module, path)
        ]
        for source in files
    }


def _collect(files: dict[str, list[tuple[str, Path]]]) -> _Collected:
    found = _found(files)
    everything = [document for source in found for document in found[source]]
    kept = unique([d.text for d in everything], overlap=DUPLICATE)
    splits: dict[str, list[Document]] = {"train": [], "valid": [], "test": []}
    for source in files:
        own = [everything[i] for i in kept if everything[i].source == source]
        modules: Counter[str] = Counter()
        for document in own:
            modules[module_of(document)] += len(document.text.encode())
        split = split_by_size(modules)
        for document in own:
            splits[split[module_of(document)]].append(document)
    before = [d.text for d in splits["train"]]
    for name in ("valid", "test"):
        texts = [d.text for d in splits[name]]
        seen = shared(texts, before) >= SEEN
        splits[name] = [
            d for d, drop in zip(splits[name], seen, strict=True) if not drop
        ]
        before += texts
    sizes = []
    for source, documents in found.items():
        parts = {s: [d for d in splits[s] if d.source == source] for s in splits}
        sizes.append(
            SourceSize(
                source,
                len(documents),
                n_bytes(documents),
                {s: len(part) for s, part in parts.items()},
                {s: n_bytes(part) for s, part in parts.items()},
            )
        )
    return splits, sizes


def _key(files: dict[str, list[tuple[str, Path]]]) -> str:
    """Changes with any of the files, with the order of sources, and with this code."""
    total = hashlib.sha256(f"{_FORMAT} {DUPLICATE} {SEEN} {sys.version}".encode())
    for source, pairs in files.items():
        total.update(f"\n\n{source}".encode())
        for module, path in pairs:
            stat = path.stat()
            total.update(f"\n{module} {stat.st_size} {stat.st_mtime_ns}".encode())
    return total.hexdigest()[:32]


# -- Reading source files -------------------------------------------------------------


def _files(source: str) -> list[tuple[str, Path]]:
    """(module, file) of a source, in order; none of its tests."""
    if source == "reference":
        spec = importlib.util.find_spec("pydoc_data")
        folders = spec.submodule_search_locations if spec else None
        return [("topics", Path(folder) / "topics.py") for folder in folders or []]
    if source == "stdlib":
        root, package = Path(sysconfig.get_paths()["stdlib"]), ""
    else:
        # A dotted name would import its parent.
        spec = importlib.util.find_spec(source) if source.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise ValueError(
                f"source must be 'reference', 'stdlib' or the import name of an "
                f"installed package, got {source!r}"
            )
        root, package = Path(spec.submodule_search_locations[0]), source
    pairs = []
    for folder, inside, names in os.walk(root):
        # Pruned here, for site-packages may lie in the standard library's folder.
        inside[:] = [name for name in inside if name not in _LEFT_OUT]
        for name in names:
            if name.endswith(".py"):
                path = Path(folder, name)
                parts = path.relative_to(root).with_suffix("").parts
                parts = parts[:-1] if parts[-1] == "__init__" else parts
                pairs.append((".".join(filter(None, (package, *parts))), path))
    return sorted(pairs)


def _texts(source: str, module: str, path: Path) -> Iterator[tuple[str, str]]:
    """(name, text) of every docstring in a file, or of every topic."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the file's invalid escapes are its own
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # a template, or made for another Python
        return
    if source == "reference":
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                topics = ast.literal_eval(node)
                yield from ((name, text.strip()) for name, text in topics.items())
        return
    for name, text in _docstrings(tree, ""):
        # A lone surrogate, as in '\udc80', can't be written.
        text = text.encode("utf-8", "replace").decode().strip()
        if text:
            yield f"{module}:{name}", text


def _docstrings(
    node: ast.Module | _Definition, prefix: str
) -> Iterator[tuple[str, str]]:
    text = ast.get_docstring(node)
    if text:
        yield prefix, text
    statements: list[ast.AST] = list(node.body)
    for statement in statements:  # grows while it is walked
        if isinstance(statement, _Definition):
            name = f"{prefix}.{statement.name}" if prefix else statement.name
            yield from _docstrings(statement, name)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield from _added(statement.value)
        else:
            for block in ("body", "handlers", "orelse", "finalbody", "cases"):
                statements.extend(getattr(statement, block, []))


def _added(call: ast.Call) -> Iterator[tuple[str, str]]:
    """The docstrings that numpy and torch attach to what is written in C."""
    function = call.func
    name = getattr(function, "id", getattr(function, "attr", ""))
    if not (name.startswith(("add_docstr", "add_newdoc")) and call.args):
        return
    target = ast.unparse(call.args[0])
    if name == "add_newdoc" and len(call.args) > 1:
        target = ast.unparse(call.args[1]).strip("'\"")
    for argument in call.args[1:]:
        for node in ast.walk(argument):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = inspect.cleandoc(node.value)
                if len(text.split()) >= 4:  # else it is a name
                    yield target, text
