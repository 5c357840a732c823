"""How the book is built: what is run when, what a failed build says, what is gone."""

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
CONFIG = """
title: A small book
execute:
  execute_notebooks: cache
sphinx:
  local_extensions:
    course: _ext
"""
HEAD = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3}
---
"""
RAISES = (
    HEAD
    + """
# A page that raises

```{code-cell}
fine = 1
```

```{code-cell}
price = fine / 0
```
"""
)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """build.py on a book of two pages, the second of which raises."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "book" / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    book = tmp_path / "book"
    (book / "_ext").mkdir(parents=True)
    for extension in (ROOT / "book" / "_ext").glob("*.py"):
        shutil.copy(extension, book / "_ext")
    (book / "_config.yml").write_text(CONFIG)
    toc = "format: jb-book\nroot: index\nchapters:\n- file: raises\n- file: last\n"
    (book / "_toc.yml").write_text(toc)
    (book / "index.md").write_text("# Start\n")
    (book / "raises.md").write_text(RAISES)
    (book / "last.md").write_text("# Last\n")
    for name, value in {
        "ROOT": tmp_path,
        "BOOK": book,
        "HTML": book / "_build" / "html",
        "LOG": book / "_build" / "build.log",
    }.items():
        monkeypatch.setattr(build, name, value)
    return build


def test_a_failed_build_ends_with_page_cell_and_error(small):
    with pytest.raises(RuntimeError) as caught:
        small.build()
    log = small.LOG.read_text()
    assert str(caught.value) == log
    end = log.rpartition("What was wrong, once more:")[2]
    assert "raises.md" in end
    assert "price = fine / 0" in end
    assert "ZeroDivisionError: division by zero" in end
    assert "nbclient/client.py" not in end


def test_a_removed_page_leaves_nothing_on_the_site(small):
    (small.BOOK / "raises.md").write_text("# Calm\n")
    small.build()
    assert (small.HTML / "last.html").exists()
    toc = small.BOOK / "_toc.yml"
    toc.write_text(toc.read_text().replace("- file: last\n", ""))
    (small.BOOK / "last.md").unlink()
    small.build()
    left = {path.stem for path in small.HTML.rglob("*") if path.is_file()}
    assert "last" not in left
    assert {"index", "raises", "genindex", "search"} <= left


# A page notes that it runs, and goes on when the other does too.
MEETS = """{head}
# Page {me}

```{{code-cell}}
import time
from pathlib import Path

with Path("../ran").open("a") as file:
    print("{me}", file=file)
began = time.monotonic()
while "{other}" not in Path("../ran").read_text():
    assert time.monotonic() - began < 60, "{other} does not run beside this page"
    time.sleep(0.1)
```

```{{code-cell}}
{code}
```
"""
LIBRARY = {
    "__init__": "",
    "near": "def value():\n    from lmlib import far\n    return far.VALUE\n",
    "far": "VALUE = 6 * 7000\n",
    "apart": "",
}


@pytest.fixture
def two_pages(small):
    """The book with two pages that run: raises.md uses a library, last.md a file."""
    library = small.ROOT / "lmlib"
    library.mkdir()
    for name, code in LIBRARY.items():
        (library / f"{name}.py").write_text(code)
    (small.BOOK / "numbers.json").write_text("[1, 2]")
    near = "from lmlib.near import value\n\nvalue()"
    numbers = "import lmlib\n\nPath('numbers.json').read_text()"
    for name, other, code in (("raises", "last", near), ("last", "raises", numbers)):
        page = MEETS.format(head=HEAD, me=name, other=other, code=code)
        (small.BOOK / f"{name}.md").write_text(page)
    (small.ROOT / "ran").write_text("")
    return small


def ran(build) -> list[str]:
    """Build the book; which pages were run for it?"""
    log = build.ROOT / "ran"
    before = log.read_text()
    build.build()
    return sorted(log.read_text()[len(before) :].split())


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_a_page_is_run_when_what_it_depends_on_has_changed(two_pages):
    book, library = two_pages.BOOK, two_pages.ROOT / "lmlib"
    shown = two_pages.HTML / "raises.html"
    assert ran(two_pages) == ["last", "raises"]
    assert "42000" in shown.read_text()

    append(library / "apart.py", "# a remark\n")
    append(book / "raises.md", "\nA new word.\n")
    assert ran(two_pages) == []
    assert "A new word." in shown.read_text()

    (book / "numbers.json").write_text("[3, 4]")
    assert ran(two_pages) == ["last"]
    assert "[3, 4]" in (two_pages.HTML / "last.html").read_text()

    # As after a build that was stopped when the pages had run, and were not yet read.
    read = book / "_build" / ".doctrees"
    old = Path(shutil.copytree(read, two_pages.ROOT / "old"))
    append(library / "far.py", "VALUE = 6 * 8000\n")
    assert ran(two_pages) == ["raises"]
    shutil.rmtree(read)
    old.rename(read)
    shown.unlink()
    assert ran(two_pages) == []
    assert "48000" in shown.read_text()

    append(library / "far.py", "VALUE /= 0\n")
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        two_pages.build()


SHOWS = """{head}
# Last

```{{code-cell}}
import json
from pathlib import Path

len(json.loads(Path("_experiments/9.9-toy.json").read_text()))
```
"""


def test_a_page_says_when_the_code_of_its_record_has_changed(small, execution):
    import provenance

    config = small.BOOK / "_config.yml"
    append(config, "    records: _ext\n  config:\n    suppress_warnings: []\n")
    (small.BOOK / "raises.md").write_text("# Calm\n")
    (small.BOOK / "last.md").write_text(SHOWS.format(head=HEAD))
    script = small.BOOK / "_experiments" / "9.9-toy.py"
    script.parent.mkdir()
    script.write_text("print(1)\n")
    name = script.relative_to(small.ROOT).as_posix()
    record = {
        "experiment": "9.9-toy",
        "date": "2026-01-02",
        "code": {name: provenance.code_of(Path(name), small.ROOT)},
    }
    script.with_suffix(".json").write_text(json.dumps(record))
    shown = small.HTML / "last.html"
    small.build()
    assert 'class="stale"' not in shown.read_text()
    script.write_text("print(2)\n")
    small.build()  # the page itself is as it was
    html = shown.read_text()
    assert "recorded on 2026-01-02. Code that it uses has changed" in html
    assert html.index('class="stale"') > html.index("cell_output")


def test_workers_end_with_a_build_that_is_killed():
    code = """
import os, time
import execution
pool = execution.workers()
print(pool.submit(os.getpid).result(), flush=True)
time.sleep(600)
"""
    path = os.pathsep.join([str(ROOT / "book" / "_ext"), str(ROOT)])
    build = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
    )
    worker = psutil.Process(int(build.stdout.readline()))
    build.stdout.close()
    build.kill()
    build.wait()
    worker.wait(60)


@pytest.fixture
def execution(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    return importlib.import_module("execution")


def test_imports_are_followed_through_packages_functions_and_dots(execution, tmp_path):
    for name, code in {
        "lib/__init__.py": "from . import start",
        "lib/start.py": "",
        "lib/a/__init__.py": "from .own import x",
        "lib/a/own.py": "x = 1",
        "lib/a/b.py": "def f():\n    from ..c import d",
        "lib/c/__init__.py": "",
        "lib/c/d.py": "import math, lib.e as e",
        "lib/e.py": "import lib.a.b",  # a circle
        "lib/c/other.py": "",
        "helper.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    found = execution.reached(execution.imported("from lib.a import b"), [tmp_path])
    names = sorted(path.relative_to(tmp_path).as_posix() for path in found)
    assert names == [
        "lib/__init__.py",
        "lib/a/__init__.py",
        "lib/a/b.py",
        "lib/a/own.py",
        "lib/c/__init__.py",
        "lib/c/d.py",
        "lib/e.py",
        "lib/start.py",
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('read("curves.json")', {"curves.json"}),
        ('{p.stem: 1 for p in folder.glob("*.json")}', {"curves.json", "labels.json"}),
        ('read(f"{name}.csv")', {"table.csv"}),
        ("**Curves** of a table, ...", set()),
    ],
)
def test_a_page_depends_on_the_files_that_it_names(execution, text, wanted):
    files = [Path("x", name) for name in ("curves.json", "labels.json", "table.csv")]
    assert {path.name for path in execution.named(text, files)} == wanted


def test_data_beside_a_module_that_names_its_folder_counts(execution, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model").write_text("")
    loads, other = tmp_path / "loads.py", tmp_path / "other.py"
    loads.write_text('FOLDER = Path(__file__).parent / "weights"')
    other.write_text("weights = 3")
    assert execution.data_of([loads, other]) == {tmp_path / "weights" / "model"}
    assert execution.data_of([other]) == set()
