"""A folder of text, examples, and small models made by the commands themselves."""

import json

from lmlib.cli import main
from tests.training.samples import documents, sentences

TINY = ["--layers", "2", "--width", "16", "--heads", "2", "--length", "24"]
SHORT = ["--steps", "6", "--batch", "4", "--every", "3", "--device", "cpu"]


def text_folder(folder):
    """60 files, so that each split has some."""
    folder.mkdir()
    for i, document in enumerate(documents(60, seed=4)):
        (folder / f"{i}.txt").write_text(f"{document.text} This is number {i}.")
    return str(folder)


def tune(model, examples, out, *more):
    arguments = ["finetune", str(model), "--task", str(examples), "--out", str(out)]
    return main([*arguments, "--length", "24", *SHORT, *more])


def examples_file(path, kind="classification"):
    names = {"classification": ("bad", "good"), "generation": ("boo", "yes")}[kind]
    lines = [
        json.dumps({"text": e.text, "label": names[e.wanted]}) for e in sentences(60)
    ]
    path.write_text("\n".join(lines))
    return str(path)


def pretrained(tmp_path, recipe="mlm", *more):
    """A folder with a model; the text is in tmp_path/text."""
    text = tmp_path / "text"
    if not text.exists():
        text_folder(text)
    out = tmp_path / recipe
    arguments = ["pretrain", recipe, "--text", str(text), "--out", str(out)]
    assert main([*arguments, "--tokenizer", "bytes", *TINY, *SHORT, *more]) == 0
    return out


def finetuned(tmp_path, recipe="mlm", kind="classification", *more):
    """A folder with a tuned model; its examples are in tmp_path/{kind}.jsonl."""
    examples = examples_file(tmp_path / f"{kind}.jsonl", kind)
    model, out = pretrained(tmp_path, recipe), tmp_path / "tuned"
    assert tune(model, examples, out, "--kind", kind, *more) == 0
    return out
