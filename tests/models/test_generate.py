"""lmlib.models.generate against `transformers`, and sampling by hand."""

import copy
import math
from dataclasses import replace

import pytest
import torch
import transformers

from lmlib.models import GPT, hub
from lmlib.models.generate import generate, probabilities, sample
from lmlib.models.gpt import gpt_config
from tests.models import pairs


@pytest.fixture(scope="module")
def gpt(tmp_path_factory):
    return pairs.both("GPT-2", tmp_path_factory.mktemp("gpt2"))


@pytest.mark.parametrize("padding", ["none", "left"])
def test_greedy_gpt_is_that_of_transformers(gpt, padding):
    reference, model = gpt
    inputs = pairs.make_inputs("GPT-2", padding)
    prompt, mask = inputs.ours["token_ids"], inputs.real
    free = generate(model, prompt, 12, attention_mask=mask)
    # A token that one row produces and another does not, as the end of text.
    eos = int(free[0, prompt.shape[1] + 3])
    expected = reference.generate(
        input_ids=prompt,
        attention_mask=mask.long(),
        max_new_tokens=12,
        do_sample=False,
        eos_token_id=eos,
        pad_token_id=1,
    )
    got = generate(model, prompt, 12, attention_mask=mask, eos_id=eos, pad_id=1)
    assert got.tolist() == expected.tolist()
    assert (free[:, : got.shape[1]] != got).any()  # the end mattered


@pytest.mark.parametrize("name", ["T5", "T5 v1.1"])
def test_greedy_t5_is_that_of_transformers(name, tmp_path):
    reference, model = pairs.both(name, tmp_path)
    inputs = pairs.make_inputs(name, "right")
    mask = inputs.ours["attention_mask"]
    expected = reference.generate(
        **{k: v for k, v in inputs.theirs.items() if not k.startswith("decoder")},
        max_new_tokens=9,
        do_sample=False,
        eos_token_id=None,
        decoder_start_token_id=3,
    )
    got = generate(model, inputs.ours["token_ids"], 9, attention_mask=mask, start_id=3)
    assert got.tolist() == expected.tolist()


def test_cache_gives_what_full_passes_give(gpt, device):
    model = copy.deepcopy(gpt[1]).to(device)  # others use it too
    tokens = torch.randint(pairs.VOCAB, (2, 4), device=device)
    got = generate(model, tokens, 6)
    for _ in range(6):
        tokens = torch.cat((tokens, model(tokens)[:, -1:].argmax(-1)), dim=1)
    assert torch.equal(got, tokens)


def test_probabilities_are_those_of_transformers():
    logits = torch.randn(4, 20) * 3
    for temperature, top_k, top_p in (
        (0.7, None, None),
        (1.3, 5, None),
        (1.0, None, 0.8),
        (0.5, 7, 0.6),
        (1.0, 50, 1.0),
    ):
        scores = transformers.TemperatureLogitsWarper(temperature)(None, logits)
        if top_k is not None:
            scores = transformers.TopKLogitsWarper(top_k)(None, scores)
        if top_p is not None:
            scores = transformers.TopPLogitsWarper(top_p)(None, scores)
        got = probabilities(logits, temperature, top_k, top_p)
        torch.testing.assert_close(got, scores.softmax(-1))


def test_top_p_by_hand():
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    for top_p, expected in ((0.5, [0, 1, 0]), (0.6, [0, 0.625, 0.375]), (1.0, None)):
        got = probabilities(logits, 1.0, top_p=top_p)[0].tolist()
        assert got == pytest.approx(expected or [0.2, 0.5, 0.3])


@pytest.mark.parametrize(
    ("dtype", "temperature"),
    [
        (torch.float32, 1e-40),
        (torch.float32, 1e-300),
        (torch.float64, 1e-310),
        (torch.float16, 1e-4),
        (torch.bfloat16, 1e-40),
    ],
)
def test_the_smallest_temperatures_are_as_none(device, dtype, temperature):
    logits = torch.tensor([[-30.0, 60.0, 59.0], [0.0, -1.0, -torch.inf]], dtype=dtype)
    logits = logits.to(device)
    got = probabilities(logits, temperature)
    assert got.tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    for top_p in (None, 0.5):
        drawn = sample(logits, temperature=temperature, top_p=top_p)
        assert drawn.tolist() == sample(logits, temperature=0.0).tolist() == [1, 0]


def test_half_precision_is_drawn_from_as_it_is():
    logits = torch.randn(4, 20).half()
    expected = (logits.double() / 0.7).softmax(-1)
    torch.testing.assert_close(probabilities(logits, 0.7).double(), expected)


def test_frequencies_of_samples():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    generator = torch.Generator().manual_seed(3)
    n = 20_000
    drawn = sample(logits.expand(n, -1), temperature=2.0, generator=generator)
    p = (logits[0] / 2).softmax(-1)
    # 5 standard deviations: false alarm in 1 of about 400,000 seeds
    for token in range(4):
        share = (drawn == token).float().mean().item()
        sd = math.sqrt(p[token] * (1 - p[token]) / n)
        assert abs(share - p[token].item()) < 5 * sd


def test_sampling_is_repeatable_and_varied(gpt):
    model = gpt[1]
    prompt = torch.zeros(2, 3, dtype=torch.long)

    def draw(seed: int) -> list:
        generator = torch.Generator().manual_seed(seed)
        return generate(model, prompt, 8, temperature=1.0, generator=generator).tolist()

    assert draw(0) == draw(0) != draw(1)
    assert generate(model, prompt, 8, temperature=1.0, top_k=1).equal(
        generate(model, prompt, 8)
    )


def test_generation_has_no_dropout_and_restores_the_mode():
    config = gpt_config(24, 2, 3, vocab_size=31, max_len=16)
    model = GPT(replace(config, init_std=0.3, dropout=0.5))
    prompt = torch.randint(31, (3, 4))
    model.eval()
    expected = generate(model, prompt, 8)
    model.train()
    assert torch.equal(generate(model, prompt, 8), expected)
    assert model.training
    assert not expected.requires_grad


def test_stops_when_all_rows_are_finished(gpt):
    model = gpt[1]
    prompt = torch.zeros(2, 3, dtype=torch.long)
    eos = int(generate(model, prompt, 1)[0, -1])
    assert generate(model, prompt, 9, eos_id=eos).shape == (2, 4)
    assert generate(model, prompt, 0).shape == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_new": 30}, "at most 32 positions, got 3 \\+ 30"),
        ({"n_new": -1}, "n_new must not be negative"),
        ({"temperature": -1.0}, "temperature must not be negative"),
        ({"top_k": 0, "temperature": 1.0}, "top_k must be at least 1"),
        ({"top_p": 0.0, "temperature": 1.0}, "top_p must lie in"),
        (
            {"attention_mask": torch.tensor([[True, True, False]])},
            "pad prompts on the left",
        ),
    ],
)
def test_says_what_is_wrong(gpt, arguments, message):
    prompt = torch.zeros(1, 3, dtype=torch.long)
    with pytest.raises(ValueError, match=message):
        generate(gpt[1], prompt, **({"n_new": 2} | arguments))


def test_prompt_from_a_saved_model(gpt, tmp_path):
    hub.save(gpt[1], tmp_path)
    prompt = torch.zeros(1, 3, dtype=torch.long)
    assert generate(hub.load(tmp_path), prompt, 5).equal(generate(gpt[1], prompt, 5))
