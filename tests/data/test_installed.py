"""Docstrings of a package made here, of a real one, and the language reference."""

import ast
import inspect
import json
from pydoc_data.topics import topics

import numpy as np
import pytest

from lmlib.data import installed
from lmlib.data.documents import digest
from lmlib.data.installed import (
    found_docstrings,
    installed_docstrings,
    installed_documents,
    installed_packages,
    installed_sizes,
    module_of,
)

WORDS = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


def prose(seed, n=40):
    return " ".join(np.random.default_rng(seed).choice(WORDS, n))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LMLIB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`madeup`, with 40 modules of which pairs share text."""
    root = tmp_path / "site" / "madeup"
    (root / "tests").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(root.parent))
    (root / "__init__.py").write_text(f'"""{prose(0)}"""\nraise SystemExit\n')
    for i in range(40):
        own = "\n".join(
            f'def f{j}():\n    """{prose(1000 * i + j)}"""' for j in range(1, 6)
        )
        shared = prose(i // 2 + 100_000)
        text = f'class C:\n    """{shared} {prose(i + 5000, 5)}"""\n{own}\n'
        (root / f"m{i:02}.py").write_text(text)
    (root / "tests" / "test_x.py").write_text(f'"""{prose(9)} not me"""')
    (root / "broken.py").write_text("def (:")
    (root / "latin.py").write_bytes(b'"""na\xefve"""')
    return root


def test_docstrings_are_found_without_running_anything(package):
    (package / "extra.py").write_text(
        '"""Module words here."""\n'
        "if True:\n"
        "    try:\n"
        "        async def f():\n"
        '            """Of a function\n\n              more\n            less"""\n'
        '            class Inner: "of a class"\n'
        "    except E: pass\n"
        "def no(): 1\n"
        'add_docstr(torch.abs, r"""\nabs(input) in a few words\n""".format(**x))\n'
        'add_newdoc("madeup", "array", ("T", "The transposed array at last."))\n'
        'x = "not a docstring at all"\n'
    )
    found = {d.name: d.text for d in installed_docstrings("all", sources=["madeup"])}
    expected = {
        "madeup.extra:": "Module words here.",
        "madeup.extra:f": "Of a function\n\n  more\nless",
        "madeup.extra:f.Inner": "of a class",
        "madeup.extra:torch.abs": "abs(input) in a few words",
        "madeup.extra:array": "The transposed array at last.",
    }
    assert {n: t for n, t in found.items() if ".extra" in n} == expected
    assert "madeup:" in found
    assert not any("test" in name or "not me" in found[name] for name in found)


def test_what_is_found_has_the_duplicates_that_the_splits_have_not(package):
    (package / "copy.py").write_text((package / "m00.py").read_text())
    found = found_docstrings(sources=["madeup"])
    (size,) = installed_sizes(["madeup"])
    assert len(found) == size.found
    texts = [d.text for d in found]
    kept = [d.text for d in installed_docstrings("all", sources=["madeup"])]
    assert set(kept) < set(texts)
    assert len(kept) < len(set(texts)) < len(texts)


def test_no_text_crosses_splits(package):
    splits = {
        s: installed_docstrings(s, sources=["madeup"])
        for s in ("train", "valid", "test")
    }
    modules = [{module_of(d) for d in documents} for documents in splits.values()]
    assert all(modules)
    assert sum(map(len, modules)) == len(set.union(*modules))
    # Of each pair's common forty words one copy is left.
    runs = [
        {tuple(d.text.split()[i : i + 8]) for d in ds for i in range(33)}
        for ds in splits.values()
    ]
    assert not runs[0] & runs[1]
    assert not (runs[0] | runs[1]) & runs[2]
    shared = [d for ds in splits.values() for d in ds if d.name.endswith(":C")]
    assert len(shared) == 20
    everything = installed_docstrings("all", sources=["madeup"])
    assert len(everything) == sum(map(len, splits.values()))
    (size,) = installed_sizes(["madeup"])
    assert size.found == 1 + 40 * 6
    assert size.kept == {s: len(ds) for s, ds in splits.items()}
    assert size.kept_bytes["test"] == sum(len(d.text) for d in splits["test"])
    assert 0.02 < size.kept_bytes["test"] / size.found_bytes < 0.06


def test_held_out_text_that_training_has_seen_in_part_is_dropped(package, monkeypatch):
    # A quarter of each docstring is common to all: less than makes a duplicate.
    common = prose(77, 20)
    for i in range(40):
        (package / f"m{i:02}.py").write_text(f'"""{common} {prose(i, 40)}"""')
    assert installed_docstrings("test", sources=["madeup"]) == []
    monkeypatch.setattr(installed, "SEEN", 0.5)
    assert installed_docstrings("test", sources=["madeup"])


def test_the_cache_is_used_until_a_file_changes(package, tmp_path, monkeypatch):
    first = installed_docstrings("all", sources=["madeup"])
    (cached,) = (tmp_path / "cache" / "installed").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(installed, "_collect", None)
        assert installed_docstrings("all", sources=["madeup"]) == first
    (package / "m00.py").write_text('"""Something else altogether."""')
    second = installed_docstrings("all", sources=["madeup"])
    assert digest(second) != digest(first)
    assert any(d.text == "Something else altogether." for d in second)
    for damage in ("", "{", '{"splits": {"train": [[1]]}}', '{"splits": []}', "[]"):
        cached.write_text(damage)
        for path in cached.parent.iterdir():
            path.write_text(damage)
        assert installed_docstrings("all", sources=["madeup"]) == second


def test_without_a_cache_it_goes_on(package, tmp_path, monkeypatch):
    expected = installed_docstrings("all", sources=["madeup"])
    (tmp_path / "file").touch()
    monkeypatch.setenv("LMLIB_CACHE", str(tmp_path / "file"))
    assert installed_docstrings("all", sources=["madeup"]) == expected


def test_a_real_package_agrees_with_inspect():
    import tqdm.utils

    found = {
        d.name.partition(":")[2]: d.text
        for d in installed_docstrings("all", sources=["tqdm"])
        if module_of(d) == "tqdm.utils"
    }
    assert len(found) > 5
    for name, text in found.items():
        thing = tqdm.utils
        for part in filter(None, name.split(".")):
            thing = getattr(thing, part)
        assert text == inspect.cleandoc(thing.__doc__).strip()


def test_topics_of_the_reference_are_documents():
    found = installed_docstrings("all", sources=["reference"])
    assert len(found) > 40
    assert all(d.text == topics[d.name].strip() for d in found)
    # "compound" has the chapters of if, while, for and others in it.
    names = {d.name for d in found}
    assert "compound" in names
    assert not names & {"if", "while", "for", "try", "with"}


def test_modules_and_packages(package):
    sources = ["madeup", "reference"]
    docstrings = installed_docstrings("train", sources=sources)
    modules = installed_documents("train", sources=sources)
    assert len({(d.source, d.name) for d in modules}) == len(modules)
    by_name = {d.name: d for d in modules}
    one = by_name["madeup.m05"]
    own = [d.text for d in docstrings if module_of(d) == "madeup.m05"]
    assert one.text == "\n\n".join(own)
    task = installed_packages("train", sources=sources, min_words=8)
    assert task.names == ("madeup", "reference")
    labels = {d.text: sources.index(d.source) for d in docstrings}
    assert all(
        labels[t] == label for t, label in zip(task.texts, task.labels, strict=True)
    )
    assert set(task.labels.tolist()) == {0, 1}


@pytest.mark.parametrize("source", ["nowhere", "numpy.linalg", "../x", "sys"])
def test_what_is_not_installed_is_refused(source):
    with pytest.raises(ValueError, match="installed package"):
        installed_docstrings("all", sources=[source])


def test_what_is_no_split_is_refused(no_runtime_types):
    with pytest.raises(ValueError, match="'dev'"):
        installed_docstrings("dev", sources=["tqdm"])


def test_the_parser_reads_what_the_interpreter_reads():
    # An independent walk over one file of the standard library.
    source = inspect.getsource(json.decoder)
    nodes = [n for n in ast.walk(ast.parse(source)) if hasattr(n, "body")]
    expected = {
        ast.get_docstring(n)
        for n in nodes
        if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)
    } - {None}
    path = installed.Path(json.decoder.__file__)
    found = {text for _, text in installed._texts("stdlib", "json.decoder", path)}
    assert found == {text.strip() for text in expected}
