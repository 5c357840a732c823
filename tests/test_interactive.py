import json
import math
import re

import pytest
import torch

from lmlib.interactive import STEP, AttentionRow, NextToken, shown


def data_of(html: str) -> dict:
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', html)
    return json.loads(text)


def test_a_token_is_never_empty():
    assert [shown(t) for t in (" of", "\n  ", " ", "a b")] == ["of", "↵", "␣", "a b"]


def test_attention_holds_the_weights_of_all_queries_up_to_themselves():
    weights = torch.rand(2, 3, 4, 4).tril()
    weights = weights / weights.sum(dim=-1, keepdim=True)
    figure = AttentionRow(["⟨start⟩", " a", " <b", "."], list(weights), layer=2, head=3)
    html = figure._repr_html_()
    found = data_of(html)["weights"]
    for layer in range(2):
        for head in range(3):
            rows = found[layer][head]
            assert [len(row) for row in rows] == [1, 2, 3, 4]
            for i, row in enumerate(rows):
                expected = weights[layer, head, i, : i + 1]
                assert torch.allclose(torch.tensor(row) * STEP, expected, atol=STEP)
    shares = re.findall(r'moved-share">(\d+) %', html)
    assert shares == [f"{100 * w:.0f}" for w in weights[1, 2, -1]]
    assert "&lt;b" in html
    assert "layer 2, head 3" in html
    assert repr(figure).startswith(f"⟨start⟩ {100 * weights[1, 2, -1, 0]:.0f}% a ")


def test_weights_of_another_sentence_are_refused():
    with pytest.raises(ValueError, match="one row a token"):
        AttentionRow(["a", "b"], [torch.eye(3)[None]])


def test_a_distribution_is_embedded_whole():
    logits = torch.randn(300)
    order = logits.argsort(descending=True)
    figure = NextToken(logits, [f" t{i}" for i in order[:4].tolist()])
    html = figure._repr_html_()
    steps = torch.tensor(data_of(html)["steps"])
    assert len(steps) == 300
    p = (-STEP * steps.cumsum(dim=0).double()).softmax(dim=0)
    expected = logits.softmax(dim=0)[order].double()
    assert torch.allclose(p, expected, rtol=2 * STEP)
    bits = float(torch.special.entr(expected).sum()) / math.log(2)
    assert f"entropy is {bits:.2f} bits" in html
    assert "296 others" in html
    assert repr(figure).split()[:2] == [f"t{order[0]}", f"{100 * expected[0]:.1f}%"]


def test_more_names_than_tokens_are_refused():
    with pytest.raises(ValueError, match="a logit for each"):
        NextToken(torch.zeros(1), ["a", "b"])
