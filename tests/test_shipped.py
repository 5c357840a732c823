"""The models that come with the course: small, honest about themselves, and trained."""

import hashlib
import inspect
import json

import pytest
import torch

from lmlib.losses import bits, bits_per_byte
from lmlib.models.generate import generate
from lmlib.shipped import FOLDER, NAMES, shipped

# Written for this test, so that no model has read it.
TEXT = (
    "Return the index of the first element that is equal to value.\n\n"
    "If the list does not contain the value, a ValueError is raised. The optional "
    "argument start is an integer that limits the search to the rest of the list."
)


@pytest.mark.parametrize("name", NAMES)
def test_record_says_how_it_was_made(name):
    made = shipped(name).made
    assert made["command"].startswith("lmlib pretrain ")
    assert {"seed", "machine", "date", "torch", "corpus", "steps", "scores"} <= set(
        made
    )
    weights = (FOLDER / name / "model.safetensors").read_bytes()
    assert made["weights_sha256"] == hashlib.sha256(weights).hexdigest()


def test_all_is_safetensors_and_json_of_at_most_12_megabytes():
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert sum(path.stat().st_size for path in files) <= 12e6


@torch.no_grad()
def test_gpt_writes_unseen_text_in_a_fraction_of_its_bits():
    kept = shipped("gpt")
    ids = torch.tensor(
        [[kept.tokenizer.special.bos, *kept.tokenizer.encode(TEXT).tolist()]]
    )
    log_p = kept.model(ids[:, :-1]).log_softmax(dim=-1)
    nats = -log_p.gather(2, ids[:, 1:, None]).sum().item()
    # bzip2 and xz need more than 5 for so short a text; 8 are as it stands.
    assert bits_per_byte(nats, len(TEXT.encode())) < 3.0


def test_gpt_goes_on_with_words():
    kept = shipped("gpt")
    start = torch.tensor([kept.tokenizer.encode("Return the").tolist()])
    written = kept.tokenizer.decode(generate(kept.model, start, 20)[0].tolist())
    assert written.startswith("Return the")
    assert len(written.split()) > 5


@torch.no_grad()
def test_bert_knows_what_is_missing():
    kept = shipped("bert")
    special = kept.tokenizer.special
    wanted, above = 0, 0
    ids = kept.tokenizer.encode(TEXT).tolist()
    for i, token in enumerate(ids):
        row = [special.cls, *ids[:i], special.mask, *ids[i + 1 :], special.sep]
        hidden = kept.model.backbone(torch.tensor([row])).hidden
        logits = kept.model.heads["mlm"](hidden[:, i + 1])[0]
        wanted += 1
        above += int((logits > logits[token]).sum() < 10)
    assert above / wanted > 0.4  # by chance 10 of 4,096


def test_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="bert, gpt, got 'llama'"):
        shipped("llama")


def test_its_docstring_names_what_there_is():
    import lmlib.shipped

    for name in NAMES:
        assert f'"{name}"' in (inspect.getdoc(lmlib.shipped) or "")


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_a_trained_model(name):
    made = json.loads((FOLDER / name / "lmlib.json").read_text())
    part = {"bert": "mlm", "gpt": "lm"}[name]
    assert bits(made["scores"][part]) < 8  # of 12 for a guess among 4,096
