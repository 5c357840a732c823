"""lmlib.models.search against `transformers`, and against trying everything."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from lmlib.models import GPT
from lmlib.models.generate import generate
from lmlib.models.gpt import gpt_config
from lmlib.models.search import beam_search
from tests.models import pairs

PROMPT = torch.tensor([3, 1, 4])


@pytest.fixture(scope="module")
def gpt(tmp_path_factory):
    return pairs.both("GPT-2", tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="module")
def tiny():
    """A model of five tokens, sure enough of what comes to lead a search astray."""
    torch.manual_seed(5)
    config = replace(gpt_config(16, 2, 2, vocab_size=5, max_len=12), init_std=0.5)
    return GPT(config).eval()


def log_p(model, text, n_prompt):
    with torch.no_grad():
        rows = model(text[None])[0, n_prompt - 1 : -1].log_softmax(-1)
    return float(rows.gather(-1, text[n_prompt:, None]).sum())


def everything(model, n_new, eos):
    """All texts that end, or are cut off, with their Σ log p."""
    found = {}
    for n in range(1, n_new + 1):
        for new in product(range(5), repeat=n):
            if eos not in new[:-1] and (n == n_new or new[-1] == eos):
                text = torch.cat((PROMPT, torch.tensor(new)))
                found[tuple(text.tolist())] = log_p(model, text, len(PROMPT))
    return found


@pytest.mark.parametrize("penalty", [0.0, 0.7, 2.0])
def test_full_width_finds_what_trying_everything_finds(tiny, penalty):
    scores = {
        text: total / (len(text) - len(PROMPT)) ** penalty
        for text, total in everything(tiny, 4, eos=2).items()
    }
    texts, found = beam_search(
        tiny, PROMPT, 4, width=625, eos_id=2, length_penalty=penalty
    )
    assert len(texts) == len(scores)
    assert tuple(texts[0].tolist()) == max(scores, key=scores.__getitem__)
    for text, score in zip(texts, found.tolist(), strict=True):
        assert score == pytest.approx(scores[tuple(text.tolist())], abs=1e-4)
    assert found.tolist() == sorted(found.tolist(), reverse=True)


def test_width_one_is_greedy_and_wider_ones_see_more(tiny):
    (greedy,), score = beam_search(tiny, PROMPT, 8, width=1)
    assert greedy.equal(generate(tiny, PROMPT[None], 8)[0])
    assert float(score) == pytest.approx(log_p(tiny, greedy, 3), abs=1e-4)
    texts, scores = beam_search(tiny, PROMPT, 8, width=50)
    assert scores[0] > score[0] + 0.01  # greedy is a trap here
    assert float(scores[0]) == pytest.approx(log_p(tiny, texts[0], 3), abs=1e-4)


@pytest.mark.parametrize("width", [2, 5])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_finds_what_transformers_finds(gpt, width, penalty):
    reference, model = gpt
    ended = 0
    for seed in range(4):
        prompt = torch.randint(
            pairs.VOCAB, (4,), generator=torch.Generator().manual_seed(seed)
        )
        # A token that the likeliest text has, as the end.
        eos = int(generate(model, prompt[None], 3)[0, -1])
        expected = reference.generate(
            input_ids=prompt[None],
            attention_mask=torch.ones(1, 4, dtype=torch.long),
            max_new_tokens=9,
            do_sample=False,
            num_beams=width,
            num_return_sequences=width,
            early_stopping="never",
            length_penalty=penalty,
            eos_token_id=eos,
            pad_token_id=-1,
            output_scores=True,
            return_dict_in_generate=True,
        )
        texts, scores = beam_search(
            model, prompt, 9, width=width, eos_id=eos, length_penalty=penalty
        )
        rows = [[i for i in row if i >= 0] for row in expected.sequences.tolist()]
        assert [text.tolist() for text in texts] == rows
        torch.testing.assert_close(scores, expected.sequences_scores)
        ended += sum(len(row) < 13 for row in rows)
    assert ended or penalty  # a high one favours what goes on


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("name", ["T5", "T5 v1.1"])
def test_finds_what_transformers_finds_for_an_encoder_decoder(name, width, tmp_path):
    reference, model = pairs.both(name, tmp_path)
    ended = set()
    for seed in range(4):
        source = torch.randint(
            pairs.VOCAB, (5,), generator=torch.Generator().manual_seed(seed)
        )
        eos = int(generate(model, source[None], 4, start_id=6)[0, -1])
        expected = reference.generate(
            input_ids=source[None],
            attention_mask=torch.ones(1, 5, dtype=torch.long),
            decoder_start_token_id=6,
            max_new_tokens=9,
            do_sample=False,
            num_beams=width,
            num_return_sequences=width,
            early_stopping="never",
            length_penalty=0.0,
            eos_token_id=eos,
            pad_token_id=-1,
            output_scores=True,
            return_dict_in_generate=True,
        )
        texts, scores = beam_search(
            model, source, 9, width=width, eos_id=eos, start_id=6
        )
        rows = [[i for i in row if i >= 0] for row in expected.sequences.tolist()]
        assert [text.tolist() for text in texts] == rows
        if width > 1:  # transformers gives no score of its greedy search
            torch.testing.assert_close(scores, expected.sequences_scores)
        ended |= {len(row) < 10 for row in rows}
    assert True in ended


def test_restores_the_mode_and_has_no_dropout(tiny):
    config = replace(tiny.config, dropout=0.5)
    model = GPT(config)
    model.load_state_dict(tiny.state_dict())
    model.train()
    texts, scores = beam_search(model, PROMPT, 6, width=3)
    assert model.training
    expected = beam_search(tiny, PROMPT, 6, width=3)
    assert [t.tolist() for t in texts] == [t.tolist() for t in expected[0]]
    assert scores.equal(expected[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width and n_new must be positive, got 0, 2"),
        ({"n_new": 0}, "must be positive"),
        ({"n_new": 10}, "at most 12 positions, got 3 \\+ 10"),
        ({"length_penalty": -1.0}, "length_penalty must not be negative"),
        ({"token_ids": PROMPT[:0]}, "must not be empty"),
    ],
)
def test_says_what_is_wrong(tiny, arguments, message):
    given = {"token_ids": PROMPT, "n_new": 2, "width": 2} | arguments
    with pytest.raises(ValueError, match=message):
        beam_search(tiny, given.pop("token_ids"), given.pop("n_new"), **given)
