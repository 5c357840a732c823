"""`lmlib evaluate`, as a person types it, against numbers worked out otherwise."""

import math
import re
from itertools import pairwise

import pytest
import torch

from lmlib.cli import main
from lmlib.data.load import load_documents
from lmlib.training.keep import load
from tests.commands.samples import finetuned, pretrained


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
    out = finetuned(tmp_path)
    trained = capsys.readouterr().out
    task = str(tmp_path / "classification.jsonl")
    assert main(["evaluate", str(out), "--task", task]) == 0
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.startswith("  ")]
    assert len(lines) == 4
    assert all(line in trained for line in lines)
    assert main(["evaluate", str(out)]) == 2
    assert "give a --task" in capsys.readouterr().err
