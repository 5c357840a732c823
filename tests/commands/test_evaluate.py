"""`lmlib evaluate`, as a person types it, against numbers worked out otherwise."""

import math
import re
from itertools import pairwise

import pytest
import torch

from lmlib.cli import main
from lmlib.data.load import load_documents
from lmlib.training.saved import load
from tests.commands.samples import (
    SHORT,
    TINY,
    examples_file,
    finetuned,
    pretrained,
    text_folder,
)


def test_bits_per_byte_are_those_of_the_text_token_by_token(tmp_path, capsys):
    out = pretrained(tmp_path, "causal")
    text = str(tmp_path / "text")
    capsys.readouterr()
    assert main(["evaluate", str(out), "--text", text, "--length", "24"]) == 0
    said = capsys.readouterr().out
    kept = load(out)
    # The documents one after the other, as the objective has them, in rows of 24.
    special, line = kept.tokenizer.special, []
    documents = load_documents(text, "test")
    n_bytes = sum(len(d.text.encode()) for d in documents)
    for document in documents:
        line += [special.bos, *document.text.encode(), special.eos]
    nats, n = 0.0, 0
    inputs, targets = [], []
    for token, following in pairwise(line):
        if token != special.eos:
            inputs.append(token)
            targets.append(following)
    with torch.no_grad():
        for i in range(0, len(inputs), 24):
            logits = kept.model(torch.tensor([inputs[i : i + 24]]))[0]
            log_p = logits.double().log_softmax(-1)
            for j, target in enumerate(targets[i : i + 24]):
                nats -= log_p[j, target].item()
                n += 1
    (got,) = re.findall(r"([\d.]+) bits per byte", said)
    # Sentences are cut at white space, which is left out or kept: all bytes count.
    assert float(got) == pytest.approx(nats / math.log(2) / n_bytes, rel=2e-3)
    (got,) = re.findall(r"([\d.]+) perplexity", said)
    assert float(got) == pytest.approx(math.exp(nats / n), rel=2e-3)


@pytest.mark.parametrize(
    ("recipe", "part"), [("mlm+nsp", "nsp"), ("mlm+sop", "sop"), ("span", "span")]
)
def test_other_models_are_measured_by_their_parts(tmp_path, capsys, recipe, part):
    out = pretrained(tmp_path, recipe)
    capsys.readouterr()
    text = str(tmp_path / "text")
    assert main(["evaluate", str(out), "--text", text, "--split", "valid"]) == 0
    said = capsys.readouterr().out
    assert re.search(rf"{part} +[\d.]+ bits per target, 0\.\d+ right", said)
    assert "bits per byte" not in said  # none of them is a code


def test_a_tuned_model_gets_the_scores_that_its_training_printed(tmp_path, capsys):
    # With a seed of its own: what is tested on is the same for all.
    out = finetuned(tmp_path, "mlm", "classification", "--seed", "3")
    trained = capsys.readouterr().out
    task = str(tmp_path / "classification.jsonl")
    assert main(["evaluate", str(out), "--task", task]) == 0
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.startswith("  ")]
    assert len(lines) == 4
    assert all(line in trained for line in lines)
    assert main(["evaluate", str(out)]) == 2
    assert "give a --task" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", ["causal", "span"])
def test_a_model_that_generates_is_measured_on_its_task(tmp_path, capsys, recipe):
    out = finetuned(tmp_path, recipe, "generation")
    trained = capsys.readouterr().out
    task = ["--task", str(tmp_path / "generation.jsonl")]
    assert main(["evaluate", str(out), *task, "--kind", "generation"]) == 0
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.startswith("  ")]
    assert [line.split()[0] for line in lines] == ["loss", "accuracy", "exact"]
    assert all(line in trained for line in lines)
    assert main(["evaluate", str(out), *task]) == 2  # --kind was forgotten
    assert "--task is classification (see --kind)" in capsys.readouterr().err


def test_a_task_is_not_for_models_that_have_none(tmp_path, capsys):
    out = pretrained(tmp_path)
    task = examples_file(tmp_path / "e.jsonl")
    assert main(["evaluate", str(out), "--task", task]) == 2
    assert "is not fine-tuned: leave out --task" in capsys.readouterr().err


def test_what_cannot_be_decoded_has_no_bits_per_byte(tmp_path, capsys):
    text = text_folder(tmp_path / "text")
    made = ["pretrain", "causal", "--text", text, "--out", str(tmp_path / "out")]
    made += ["--tokenizer", "wordpiece", "--vocab", "120"]
    assert main([*made, *TINY, *SHORT]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "out"), "--text", text]) == 0
    said = capsys.readouterr().out
    assert "no bits per byte" in said
    assert not re.search(r"[\d.]+ bits per byte", said)
    assert "perplexity, per token" in said
