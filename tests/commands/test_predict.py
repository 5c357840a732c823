"""`lmlib predict`, as a person types it."""

import io
import json
import sys
from pathlib import Path

import pytest

from lmlib.cli import main
from tests.commands.samples import SHORT, examples_file, pretrained, tune

TAGS = [{"text": f"Ann saw {i}", "label": ["name", "verb", "n"]} for i in range(40)]
PAIRS = [
    {"text": f"a {i}", "second": f"b {i}", "label": "yes" if i % 2 else "no"}
    for i in range(40)
]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A model for each kind of task."""
    folder = tmp_path_factory.mktemp("tuned")
    start = pretrained(folder)
    files = {"classification": examples_file(folder / "classes.jsonl")}
    for kind, rows in (("tagging", TAGS), ("pairs", PAIRS)):
        files[kind] = str(folder / f"{kind}.jsonl")
        text = "\n".join(json.dumps(row) for row in rows)
        (folder / f"{kind}.jsonl").write_text(text)
    for kind, file in files.items():
        assert tune(start, file, folder / kind, "--kind", kind, "--lr", "0.01") == 0
    return folder


def said(capsys, *arguments):
    capsys.readouterr()
    assert main(["predict", *map(str, arguments), "--device", "cpu"]) == 0
    return capsys.readouterr()


def typed(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def rows_of(output):
    return [json.loads(line) for line in output.splitlines()]


def test_classes_and_probabilities_from_the_likeliest_down(tuned, capsys):
    texts = ["good cat 3", "bad dog 4", "x"]
    plain = said(capsys, tuned / "classification", *texts).out.splitlines()
    rows = rows_of(said(capsys, tuned / "classification", *texts, "--json").out)
    assert [row["text"] for row in rows] == texts
    for line, row in zip(plain, rows, strict=True):
        shares = row["probabilities"]
        assert set(shares) == {"bad", "good"}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert row["label"] == max(shares, key=shares.get)
        likeliest, other = line.split("\t")
        assert likeliest == f"{row['label']} {shares[row['label']]:.4f}"
        assert other.split()[0] != row["label"]
    # Options may stand anywhere.
    mixed = said(capsys, tuned / "classification", texts[0], "--top", "1", *texts[1:])
    assert mixed.out.splitlines() == [line.split("\t")[0] for line in plain]


def test_texts_come_from_anywhere(tuned, tmp_path, capsys, monkeypatch):
    model = tuned / "classification"
    texts = ["good cat", "", "naïve; “x”, 猫"]
    expected = said(capsys, model, *texts, "--json").out
    content = "\n".join(texts).encode()
    for ended in (b"", b"\n"):
        typed(monkeypatch, content.replace(b"\n", b"\r\n") + ended)
        assert said(capsys, model, "--json").out == expected
    typed(monkeypatch, b"\xef\xbb\xbf" + content)
    assert said(capsys, model, "--json", "--file", "-").out == expected
    table = "id,text\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(texts))
    for name, written in {
        "a.txt": content,
        "a": "\n".join(texts).encode("utf-16"),
        "a.csv": table.encode("utf-8-sig"),
        "a.tsv": ("text\n" + "\n".join(f'"{text}"' for text in texts)).encode(),
    }.items():
        path = tmp_path / name
        path.write_bytes(written)
        assert said(capsys, model, "--json", "--file", path).out == expected, name
    # What it wrote is lines of JSON, which it reads.
    path = tmp_path / "a.jsonl"
    path.write_text(expected, encoding="utf-8")
    assert said(capsys, model, "--json", "--file", path).out == expected
    more = ("--file", path, "--columns", "label")
    labels = [row["label"] for row in rows_of(expected)]
    got = rows_of(said(capsys, model, "--json", *more).out)
    assert [row["text"] for row in got] == labels


def test_pairs_are_two_texts(tuned, tmp_path, capsys, monkeypatch):
    model = tuned / "pairs"
    rows = rows_of(said(capsys, model, "a 1", "b 1", "a 2", "b 3", "--json").out)
    assert [(row["text"], row["second"]) for row in rows] == [
        ("a 1", "b 1"),
        ("a 2", "b 3"),
    ]
    assert set(rows[0]["probabilities"]) == {"yes", "no"}
    typed(monkeypatch, b"a 1\tb 1\na 2\tb 3\n")
    assert rows_of(said(capsys, model, "--json").out) == rows
    path = tmp_path / "a.csv"
    path.write_text("q,p\na 1,b 1\na 2,b 3\n")
    columns = ("--file", path, "--columns", "q,p")
    assert rows_of(said(capsys, model, "--json", *columns).out) == rows


@pytest.mark.parametrize(("family", "room"), [("bert", 21), ("roberta", 20)])
def test_a_pair_that_just_fits_is_not_called_too_long(
    tmp_path, capsys, tuned, family, room
):
    # <s> first </s></s> second </s> of RoBERTa is four more than the texts.
    model = tuned / "pairs"
    if family == "roberta":
        start = pretrained(tmp_path, "mlm", "--family", family)
        task, model = tuned / "pairs.jsonl", tmp_path / "tuned"
        assert tune(start, task, model, "--kind", "pairs") == 0
    fits = ["a" * 10, "b" * (room - 10)]
    assert said(capsys, model, *fits).err == ""
    told = said(capsys, model, *fits, "a" * 10, "b" * (room - 9))
    assert "1 of 2 texts had more than 24 tokens" in told.err


def test_words_are_tagged(tuned, capsys):
    model = tuned / "tagging"
    told = said(capsys, model, "Ann saw 3", "so " * 20)
    first, second, rest = told.out.split("\n\n")
    assert rest == ""
    words = [line.split("\t") for line in first.splitlines()]
    assert [word for word, *_ in words] == ["Ann", "saw", "3"]
    assert {tag.split()[0] for tag in words[0][1:]} == {"name", "verb", "n"}
    assert [line.split("\t")[1][0] == "_" for line in second.splitlines()] == [
        *[False] * 11,
        *[True] * 9,
    ]
    assert "1 of 2 texts had more than 24 tokens" in told.err
    (row,) = rows_of(said(capsys, model, "Ann saw", "--json").out)
    assert len(row["label"]) == len(row["probabilities"]) == 2
    assert row["label"][0] == max(
        row["probabilities"][0], key=row["probabilities"][0].get
    )


def test_what_it_learned_is_what_it_says(tmp_path, capsys):
    # A table, columns with names of their own, and labels that a letter tells.
    table = tmp_path / "reviews.csv"
    moods = {"z": "low", "q": "high"}
    lines = [f"{8 * 'zq'[i % 2]} {i},{moods['zq'[i % 2]]}" for i in range(60)]
    table.write_text("\n".join(["review,mood", *lines]))
    start = pretrained(tmp_path)
    more = (
        "--columns",
        "review,mood",
        "--steps",
        "40",
        "--every",
        "40",
        "--lr",
        "0.01",
    )
    assert tune(start, table, tmp_path / "out", *more) == 0
    found = said(capsys, tmp_path / "out", "zzzzzzzz 70", "qqqqqqqq 71", "--json").out
    assert [row["label"] for row in rows_of(found)] == ["low", "high"]
    assert (
        main(["evaluate", str(tmp_path / "out"), "--task", str(table), *more[:2]]) == 0
    )


def test_mistakes_are_told_in_a_line(tuned, tmp_path, capsys, monkeypatch):
    model = str(tuned / "classification")
    table, lines, text = (str(tmp_path / f"a.{x}") for x in ("csv", "jsonl", "txt"))
    pairs = str(tuned / "pairs")
    Path(table).write_text("review\na\n")
    Path(lines).write_text('{"text": 3}')
    Path(text).write_text("a\tb\nc\n")
    for arguments, told in (
        ([str(tuned / "mlm"), "x"], "is not fine-tuned, and knows no classes"),
        ([model, "caf\udce9"], "TEXT is no text in UTF-8"),
        ([model, "x", "--file", "y"], "--file must be left out"),
        ([model, "x", "--top", "0"], "--top must be at least 1, got 0"),
        ([model, "x", "--batch", "-1"], "--batch must be at least 1, got -1"),
        (
            [model, "--file", table],
            'line 1: there is no column "text"',
        ),
        ([model, "--file", lines], "line 1: expected a text, got"),
        ([model, "--columns", "a,b", "x"], "--columns must be names for text (class"),
        (
            [pairs, "a", "b", "c"],
            "TEXT must be two for each pair, got 3",
        ),
        (
            [pairs, "--file", text],
            "line 2: expected two",
        ),
    ):
        capsys.readouterr()
        assert main(["predict", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert told in line
    typed(monkeypatch, b"good\ncaf\xe9\n")
    assert main(["predict", model]) == 2
    assert "standard input, line 2: this is not UTF-8" in capsys.readouterr().err


def test_a_model_that_writes_is_for_generate(tmp_path, capsys):
    start = pretrained(tmp_path, "causal")
    task = examples_file(tmp_path / "e.jsonl", "generation")
    assert tune(start, task, tmp_path / "out", "--kind", "generation", *SHORT) == 0
    assert main(["predict", str(tmp_path / "out"), "x"]) == 2
    assert "see `lmlib generate`" in capsys.readouterr().err
