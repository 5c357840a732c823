"""`lmlib compress`, `decompress` and `ledger`, as a person types them."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lmlib.cli import main
from lmlib.data.tokenizers import ByteTokenizer
from lmlib.training.pretrain import Size, make_model
from lmlib.training.saved import save

pytestmark = pytest.mark.usefixtures("no_runtime_types")

TEXT = "One man's meat is another man's poison. 论语\r\n".encode() * 5


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT)
    return path


def piped(monkeypatch, given=b""):
    """Standard input and output as bytes."""
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out))
    return out


def test_there_and_back(file, capsys):
    assert main(["compress", str(file)]) == 0
    archive = file.with_name("text.txt.lmz")
    size = archive.stat().st_size
    rate = f"{8 * size / len(TEXT):.4f} bits a byte"
    said = capsys.readouterr().err
    assert said.startswith(f"{file}: {len(TEXT):,} → {size:,} bytes, {rate}")
    file.unlink()
    assert main(["decompress", str(archive)]) == 0
    assert file.read_bytes() == TEXT
    assert sorted(file.parent.iterdir()) == [file, archive]


def test_through_pipes(monkeypatch):
    out = piped(monkeypatch, TEXT)
    assert main(["compress", "-"]) == 0
    again = piped(monkeypatch, out.getvalue())
    assert main(["decompress", "-"]) == 0
    assert again.getvalue() == TEXT
    out = piped(monkeypatch)
    assert main(["compress", "-"]) == 0
    again = piped(monkeypatch, out.getvalue())
    assert main(["decompress", "-"]) == 0
    assert again.getvalue() == b""


def test_nothing_is_replaced_unless_asked_for(file, capsys):
    archive = file.with_name("text.txt.lmz")
    archive.write_bytes(b"precious")
    assert main(["compress", str(file)]) == 2
    assert "is there already: --force replaces it" in capsys.readouterr().err
    assert archive.read_bytes() == b"precious"
    assert main(["compress", str(file), "--force"]) == 0
    assert main(["decompress", str(archive)]) == 2
    assert main(["decompress", str(archive), "-o", str(file), "--force"]) == 0


def test_a_device_is_written_to_not_replaced(file):
    assert main(["compress", str(file), "-o", "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()


def test_with_texts_that_both_have(file, tmp_path, capsys):
    names = []
    for i, text in enumerate([TEXT[:90], TEXT[90:]]):
        names.append(str(tmp_path / f"{i}.txt"))
        (tmp_path / f"{i}.txt").write_bytes(text)
    assert main(["compress", str(file), "--prime", *names]) == 0
    archive, out = f"{file}.lmz", str(tmp_path / "out")
    assert main(["decompress", archive, "-o", out]) == 2
    assert main(["decompress", archive, "-o", out, "--prime", *names[::-1]]) == 2
    said = capsys.readouterr().err
    assert said.count("lmlib: --prime must be the text that the archive was") == 2
    assert not (tmp_path / "out").exists()
    assert main(["decompress", archive, "-o", out, "--prime", *names]) == 0
    assert (tmp_path / "out").read_bytes() == TEXT


@pytest.mark.parametrize("how", ["damaged", "cut", "foreign", "no.lmz", "missing"])
def test_what_is_no_archive_leaves_nothing_behind(file, capsys, how):
    assert main(["compress", str(file)]) == 0
    archive, out = file.with_name("text.txt.lmz"), file.with_name("out")
    data = archive.read_bytes()
    if how == "damaged":
        archive.write_bytes(data[:-9] + bytes((data[-9] ^ 1,)) + data[-8:])
    elif how == "cut":
        archive.write_bytes(data[:-9])
    elif how == "missing":
        archive.unlink()
    elif how == "no.lmz":
        assert main(["decompress", str(file)]) == 2
        assert "does not end in .lmz: say where with -o" in capsys.readouterr().err
    else:
        archive.write_bytes(TEXT)
    if how != "no.lmz":
        assert main(["decompress", str(archive), "-o", str(out)]) == 2
        assert "lmlib: " in capsys.readouterr().err
    assert not out.exists()
    assert {path.name for path in file.parent.iterdir()} <= {file.name, archive.name}


def test_a_failure_while_writing_leaves_nothing_behind(file, monkeypatch):
    def full(self, data):
        self.touch()
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["compress", str(file)]) == 2
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_ledger_has_all_rows_alone_and_conditional(file, tmp_path, capsys):
    other = tmp_path / "other.txt"
    other.write_bytes(TEXT)
    assert main(["ledger", str(file), "--prime", str(other)]) == 0
    first, head, *rows = capsys.readouterr().out.splitlines()
    assert first == f"{file}: {len(TEXT):,} bytes"
    assert head.split()[:2] == ["compressor", "knows"]
    alone = [row for row in rows if " nothing " in row]
    known = [row for row in rows if " other.txt " in row]
    assert len(alone) == len(known) == len(rows) / 2 == 7
    assert any(row.startswith("lmlib fast") for row in alone)
    assert not any("pays" in row for row in rows)
    assert main(["ledger", str(file), "--method"]) == 0
    assert "lmlib fast" not in capsys.readouterr().out


def test_the_ledger_counts_models_as_they_lie_on_the_disk(file, tmp_path, capsys):
    tokenizer, folder = ByteTokenizer(), tmp_path / "model"
    size = Size(d_model=32, n_layers=1, n_heads=2, length=32)
    model = make_model("causal", tokenizer.special, tokenizer.size, size)
    save(model, tokenizer, folder, family="gpt2")
    command = ["ledger", str(file), "--model", str(folder), "--method", "fast", "gpt"]
    assert main([*command, "--bits", "32", "4", "4"]) == 0
    rows = capsys.readouterr().out.splitlines()
    models = [row for row in rows if row.startswith("lmlib gpt") and " nothing " in row]
    rounded, whole = sorted(int(row.split()[-3].replace(",", "")) for row in models)
    names = ("config.json", "model.safetensors", "tokenizer.json")
    assert whole == sum((folder / name).stat().st_size for name in names)
    assert rounded < whole / 2
    assert sum("pay" in row for row in rows) == 2
