"""BERT, RoBERTa and ALBERT: published sizes, heads. Parity is in test_hub.py."""

from dataclasses import replace

import pytest
import torch
import transformers

from lmlib.models import ALBERT, BERT, PUBLISHED, ROBERTA, Albert, Bert, Roberta, build
from lmlib.transformer import count_parameters

# Millions of parameters as papers print them, and how far they round. Devlin et al.
# 2019, section 3; Liu et al. 2019, the released checkpoints; Lan et al. 2020, table 1,
# which prints 235M for xxlarge, where the released checkpoint has 5 % fewer.
PAPERS = {
    "bert-base-uncased": (110, 0.01),
    "bert-large-uncased": (340, 0.02),
    "roberta-base": (125, 0.01),
    "roberta-large": (355, 0.01),
    "albert-base-v1": (12, 0.03),
    "albert-large-v1": (18, 0.03),
    "albert-xlarge-v1": (60, 0.03),
    "albert-xxlarge-v1": (235, 0.06),
}


@pytest.mark.parametrize("name", PAPERS)
def test_sizes_are_those_of_the_papers(name):
    millions, rounding = PAPERS[name]
    with torch.device("meta"):
        count = count_parameters(build(name))
    assert count == pytest.approx(millions * 1e6, rel=rounding)


def reference(name: str) -> torch.nn.Module:
    """`transformers`' own model with the published configuration, without memory."""
    if name in BERT:
        large = "large" in name
        config = transformers.BertConfig(
            vocab_size=BERT[name].vocab_size,
            hidden_size=1024 if large else 768,
            num_hidden_layers=24 if large else 12,
            num_attention_heads=16 if large else 12,
            intermediate_size=4096 if large else 3072,
        )
        cls = transformers.BertForPreTraining
    elif name in ROBERTA:
        large = "large" in name
        config = transformers.RobertaConfig(
            max_position_embeddings=514,
            type_vocab_size=1,
            hidden_size=1024 if large else 768,
            num_hidden_layers=24 if large else 12,
            num_attention_heads=16 if large else 12,
            intermediate_size=4096 if large else 3072,
        )
        cls = transformers.RobertaForMaskedLM
    else:
        d, layers, heads = {
            "base": (768, 12, 12),
            "large": (1024, 24, 16),
            "xlarge": (2048, 24, 16),
            "xxlarge": (4096, 12, 64),
        }[name.split("-")[1]]
        config = transformers.AlbertConfig(
            hidden_size=d,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * d,
        )
        cls = transformers.AlbertForPreTraining
    with torch.device("meta"):
        return cls(config)


@pytest.mark.parametrize("name", [*BERT, *ROBERTA, *ALBERT])
def test_sizes_are_exactly_those_of_transformers(name):
    with torch.device("meta"):
        model = build(name)
    assert count_parameters(model) == reference(name).num_parameters()


def test_all_layers_of_albert_are_one_block():
    assert all(config.n_blocks == 1 for config in ALBERT.values())
    assert all(config.embedding_size == 128 for config in ALBERT.values())


def test_unknown_name():
    with pytest.raises(
        ValueError, match=r"name must be one of bert-base-uncased, .*xl"
    ):
        build("bert-huge")
    assert len(PUBLISHED) == len(set(PUBLISHED))


SMALL = replace(BERT["bert-base-uncased"], vocab_size=31, d_model=12, n_layers=2)
SMALL = replace(SMALL, n_heads=2, max_len=16)


@pytest.mark.parametrize(
    ("family", "shapes"),
    [
        (Bert, {"mlm": (3, 5, 31), "nsp": (3, 2)}),
        (Roberta, {"mlm": (3, 5, 31)}),
        (Albert, {"mlm": (3, 5, 31), "sop": (3, 2)}),
    ],
)
def test_each_family_has_its_heads(family, shapes, device):
    model = family(SMALL).to(device)
    logits = model(torch.zeros(3, 5, dtype=torch.long, device=device))
    assert {name: tuple(x.shape) for name, x in logits.items()} == shapes


def test_packed_pairs_are_pairs_alone():
    model = Bert(SMALL, heads=["mlm"]).eval()
    ids = torch.randint(31, (1, 9))
    segments = torch.tensor([[0, 0, 1, 1, 0, 0, 0, 1, 1]])
    documents = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1, 1]])
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3, 4]])
    packed = model(ids, None, segments, positions, documents)["mlm"]
    for part in (slice(0, 4), slice(4, 9)):
        alone = model(ids[:, part], None, segments[:, part])["mlm"]
        torch.testing.assert_close(packed[:, part], alone, atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"config": replace(SMALL, causal=True)}, "config must be of an encoder"),
        (
            {"config": SMALL, "heads": ["lm"]},
            "heads must be of mlm, nsp, sop and pooler",
        ),
    ],
)
def test_bert_says_what_is_wrong(arguments, message, no_runtime_types):
    with pytest.raises(ValueError, match=message):
        Bert(**arguments)
