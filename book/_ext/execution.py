"""Which pages are run when: those whose code, modules or files have changed.

MyST-NB's cache knows a page by its code alone. Here each cached page also keeps a key,
the hash of what else its outputs depend on: the modules that it imports, directly or
through others, and the files that it names. Pages whose key is another are run before
Sphinx reads them, two side by side, each in a kernel of one thread.
"""

import hashlib
import multiprocessing
import os
import platform
import re
import threading
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from course import BOOK, ROOT, digest
from IPython.core.inputtransformer2 import TransformerManager
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.execute import NotebookClientCache, create_client
from myst_nb.core.nb_to_tokens import nb_node_to_dict
from myst_nb.core.read import create_nb_reader
from nbformat import NotebookNode
from provenance import imported, reached
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

logger = logging.getLogger(__name__)
SIDE_BY_SIDE = 2  # build.py lets each kernel have one thread


# -- What a page depends on -----------------------------------------------------------


def named(text: str, files: Iterable[Path]) -> set[Path]:
    """Those of the files whose name is in the text, or fits a pattern that is there.

    `*.json` and `f"{name}.json"` are both patterns.
    """
    words = set(re.findall(r"[\w*?.-]+", re.sub(r"\{[^{}\s]+\}", "*", text)))
    patterns = [word for word in words if "*" in word or "?" in word]
    return {
        path
        for path in files
        if path.name in words
        or any(w.endswith(path.suffix) and fnmatchcase(path.name, w) for w in patterns)
    }


def data_of(modules: Iterable[Path]) -> set[Path]:
    """The files in folders without code that lie beside a module and that it names."""
    found = set()
    for module in modules:
        text = module.read_text(encoding="utf-8")
        for folder in filter(Path.is_dir, module.parent.iterdir()):
            if f'"{folder.name}"' in text and not any(folder.glob("*.py")):
                found.update(path for path in folder.rglob("*") if path.is_file())
    return found


def key_of(page: Path, notebook: NotebookNode) -> str:
    """A hash of what the outputs of this page depend on, besides its own code."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    magic = TransformerManager()  # a line of IPython is none of Python
    names = {n for c in cells for n in imported(magic.transform_cell(c.source))}
    modules = reached(names, (ROOT, page.parent))
    # The book's own folder holds all chapters.
    beside = page.parent.iterdir() if page.parent == BOOK else page.parent.rglob("*")
    others = (p for p in beside if p.is_file() and p.suffix not in (".md", ".ipynb"))
    records = (BOOK / "_experiments").glob("*.json")
    files = named(page.read_text(encoding="utf-8"), [*others, *records])
    code = digest({*modules, *data_of(modules), *files, ROOT / "requirements.lock"})
    return hashlib.sha256(f"{platform.python_version()} {code}".encode()).hexdigest()


# -- Running --------------------------------------------------------------------------


def notebook_of(env: Any, name: str) -> tuple[NotebookNode, Any] | None:
    """The page as MyST-NB reads it, with its settings; None if its code is not run."""
    path = Path(env.doc2path(name))
    settings = env.mystnb_config
    text = path.read_text(encoding="utf-8")
    reader = create_nb_reader(str(path), env.myst_config, settings, text)
    if reader is None:
        return None
    notebook = reader.read(text)
    own = nb_node_to_dict(notebook.metadata.get(settings.metadata_key, {}))
    settings = settings.copy(**own)
    client = create_client(notebook, str(path), settings, logger, reader.read_fmt)
    has_code = any(cell.cell_type == "code" for cell in notebook.cells)
    run = has_code and isinstance(client, NotebookClientCache)
    return (notebook, settings) if run else None


def end_with_parent() -> None:
    parent = multiprocessing.parent_process()

    def wait() -> None:
        parent.join()
        os._exit(1)  # its kernel sees that and ends too

    threading.Thread(target=wait, daemon=True).start()


def workers() -> ProcessPoolExecutor:
    """Processes that run pages. They do not outlive a build that is stopped."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(SIDE_BY_SIDE, spawn, end_with_parent)


def run_page(
    notebook: NotebookNode, folder: str, timeout: int, allow_errors: bool
) -> tuple[NotebookNode, float] | None:
    """The notebook with its outputs and the seconds that it took; None if it fails."""
    done = single_nb_execution(notebook, folder, timeout, allow_errors)
    return None if done.err else (done.nb, done.time)


def run_changed(
    app: Sphinx,
    env: BuildEnvironment,
    added: set[str],
    changed: set[str],
    removed: set[str],
) -> list[str]:
    """Run the pages whose cached outputs are not of now; say which to read again."""
    cache = get_cache(env.mystnb_config.execution_cache_path)
    cached = {record.hashkey: record for record in cache.list_cache_records()}
    keys, in_use, stale = {}, set(), {}
    for name in sorted(env.found_docs):
        page = notebook_of(env, name)
        if page is None:
            continue
        keys[name] = key_of(Path(env.doc2path(name)), page[0])
        _, code = cache.create_hashed_notebook(page[0])
        in_use.add(code)
        if code not in cached or cached[code].data.get("key") != keys[name]:
            stale[name] = page
            # A page that fails now must not find what it once put out.
            if code in cached:
                in_use.discard(code)
    for code, record in cached.items():
        if code not in in_use:
            cache.remove_cache(record.pk)
    if stale:
        with workers() as pool:
            runs = {
                pool.submit(
                    run_page,
                    notebook,
                    str(Path(env.doc2path(name)).parent),
                    settings.execution_timeout,
                    settings.execution_allow_errors,
                ): name
                for name, (notebook, settings) in stale.items()
            }
            for run in as_completed(runs):
                # A page that failed, or whose kernel died, is not in the cache:
                # MyST-NB runs it when it is read, and reports page, cell and error.
                done = None if run.exception() else run.result()
                if done is not None:
                    name, (notebook, seconds) = runs[run], done
                    data = {"execution_seconds": seconds, "key": keys[name]}
                    bundle = CacheBundleIn(notebook, env.doc2path(name), data=data)
                    cache.cache_notebook_bundle(bundle, overwrite=True)
                    logger.info(f"{name} was run in {seconds:.1f} seconds")
    # Sphinx's own memory of the pages is of another build than the cache, if that one
    # was stopped between running and reading.
    read: dict[str, str] = getattr(env, "execution_keys", {})
    env.execution_keys = keys  # type: ignore[attr-defined]
    return [name for name in keys if keys[name] != read.get(name)]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-get-outdated", run_changed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
