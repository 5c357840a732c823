"""How the book is built: what a failed build says, and what is gone from the site."""

import importlib.util
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFIG = """
title: A small book
execute:
  execute_notebooks: cache
sphinx:
  local_extensions:
    course: _ext
"""
RAISES = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3}
---

# A page that raises

```{code-cell}
fine = 1
```

```{code-cell}
price = fine / 0
```
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """build.py on a book of two pages, the second of which raises."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "book" / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    book = tmp_path / "book"
    (book / "_ext").mkdir(parents=True)
    shutil.copy(ROOT / "book" / "_ext" / "course.py", book / "_ext")
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
