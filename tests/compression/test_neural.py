"""A transformer's next byte: against sums over all ways to cut a text into tokens."""

import functools
import json
import math

import numpy as np
import pytest
import tokenizers
import torch

from lmlib.compression import neural
from lmlib.compression.neural import NextByte, Transformer, beside_mixed, load
from lmlib.compression.predictors import Bits, bits, decode, encode
from lmlib.data.tokenizers import (
    ByteTokenizer,
    SubwordTokenizer,
    _byte_alphabet,
    token_bytes,
    train_bpe,
    train_wordpiece,
)
from lmlib.models.gpt import GPT
from lmlib.shipped import shipped
from lmlib.transformer import TransformerConfig

pytestmark = pytest.mark.usefixtures("no_runtime_types")

TEXT = "the cat sat on the mat, that is that. 学而时习之 "


def tiny(tokenizer, max_len=64):
    torch.manual_seed(0)
    config = TransformerConfig(
        vocab_size=tokenizer.size,
        d_model=16,
        n_layers=2,
        n_heads=2,
        max_len=max_len,
        causal=True,
        norm_first=True,
        init_std=0.3,  # far from uniform
    )
    return Transformer(GPT(config), tokenizer)


@pytest.fixture(scope="module")
def bpe():
    return train_bpe([TEXT * 3], vocab_size=5 + 256 + 20)


@functools.cache
def next_token(transformer, tokens):
    """What the model says after all of the tokens, read at once; special ones never."""
    with torch.no_grad():
        logits = transformer.model(torch.tensor([list(tokens)]))[0, -1].double()
    texts = token_bytes(transformer.tokenizer)
    p = logits[list(texts)].softmax(dim=-1).tolist()
    return dict(zip(texts, p, strict=True))


def probability(transformer, tokens, rest):
    """That the bytes after `tokens` begin with `rest`, over all ways to cut them."""
    if not rest:
        return 1.0
    total, texts = 0.0, token_bytes(transformer.tokenizer)
    for token, p in next_token(transformer, tokens).items():
        text = texts[token]
        if text.startswith(rest):
            total += p
        elif rest.startswith(text):
            total += p * probability(transformer, (*tokens, token), rest[len(text) :])
    return total


def test_a_byte_has_the_probability_of_all_that_goes_on_with_it(bpe, monkeypatch):
    monkeypatch.setattr(neural, "LIKELY", 0.0)
    monkeypatch.setattr(neural, "WAYS", 10**6)
    transformer = tiny(bpe)
    model, begin = NextByte(transformer), (bpe.special.bos,)
    text = b" that t"
    for n, byte in enumerate(text):
        before = probability(transformer, begin, text[:n])
        said = model.frequencies() / (1 << 24)
        for other in (byte, ord("t"), ord("a"), 255):
            joint = probability(transformer, begin, text[:n] + bytes((other,)))
            assert said[other] == pytest.approx(joint / before, rel=1e-3, abs=1e-6)
        model.update(byte)


def test_what_is_unlikely_need_not_be_followed(bpe):
    transformer, data = tiny(bpe), TEXT.encode()
    exact = -math.log2(probability(transformer, (bpe.special.bos,), data[:9]))
    assert bits(Bits(NextByte(transformer)), data[:9]) == pytest.approx(exact, rel=0.05)


def test_bytes_as_tokens_are_the_models_own():
    transformer = tiny(ByteTokenizer())
    data, price, tokens = TEXT.encode(), 0.0, [257]
    for byte in data[:50]:
        price -= math.log2(next_token(transformer, tuple(tokens))[byte])
        tokens.append(byte)
    assert bits(Bits(NextByte(transformer)), data[:50]) == pytest.approx(
        price, rel=1e-3
    )


@pytest.mark.parametrize("data", [TEXT.encode() * 3, b"\xff\x00" * 40, b""])
def test_bytes_come_back_beyond_the_models_positions(bpe, data):
    transformer = tiny(bpe, max_len=16)
    payload = encode(beside_mixed(transformer), data)
    assert decode(beside_mixed(transformer), payload, len(data)) == data


def test_bytes_that_are_no_tokens_come_back(bpe):
    """As in SmolLM2's vocabulary: some bytes were in no text that it was made from."""
    model = json.loads(bpe.inner.to_str())
    gone = {_byte_alphabet()[byte] for byte in b"\xff\x04"}
    model["model"]["vocab"] = {
        text: i for text, i in model["model"]["vocab"].items() if text not in gone
    }
    lacking = SubwordTokenizer(tokenizers.Tokenizer.from_str(json.dumps(model)))
    transformer = tiny(lacking)
    assert b"\xff" not in transformer.texts
    data = b"\xff the cat\x04\xff\xff sat \x04 on" + "\u5b66".encode() + b"\xff"
    archive = encode(Bits(NextByte(transformer)), data)
    assert decode(Bits(NextByte(transformer)), archive, len(data)) == data


def test_the_window_moves_on(bpe):
    """After the positions are used up, the last tokens are read anew."""
    transformer = tiny(ByteTokenizer(), max_len=8)
    model, data = NextByte(transformer), b"abcdefghijklmnop"
    for byte in data:
        model.update(byte)
    # 8 positions: the beginning and 7 bytes; then 4 tokens anew and 4 more; then 4.
    expected = next_token(transformer, tuple(data[-1 - (len(data) - 8) % 5 - 3 :]))
    said = model.frequencies() / (1 << 24)
    np.testing.assert_allclose(said, list(expected.values()), atol=1e-5)


def test_the_window_may_keep_all_but_one_of_its_tokens():
    """Whatever is asked beyond that: one must be free for the next."""
    model = NextByte(Transformer(tiny(ByteTokenizer(), 8).model, ByteTokenizer(), 99))
    for n in range(1, 20):
        model.update(96 + n)
        read = model._ways[0].cache.length
        # The beginning and 7 bytes; then 7 or 8 tokens in turn, and so never fewer.
        assert read == (n + 1 if n < 8 else 7 + n % 2), n


def test_threads_are_as_they_were():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        NextByte(tiny(ByteTokenizer()))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_model_is_told_from_every_other(bpe):
    one, same, other = tiny(bpe), tiny(bpe), tiny(bpe)
    other.model.heads["lm"].embedding.weight.data[7, 3] += 1e-6
    assert one.identity == same.identity != other.identity
    assert one.probe() == same.probe() != other.probe()
    assert tiny(ByteTokenizer()).identity != one.identity


def test_the_shipped_model_beside_the_mixer_is_shorter_than_either():
    transformer = load(None)
    data = b"Return True if the two arrays have the same shape and elements.\n" * 2
    both = bits(beside_mixed(transformer), data)
    assert both < bits(neural.Mixed(), data)
    assert both < bits(Bits(NextByte(transformer)), data)


def test_tokens_that_are_no_bytes_are_told():
    with pytest.raises(ValueError, match="made of bytes"):
        Transformer(shipped("gpt").model, train_wordpiece(["a b"], 100))
    with pytest.raises(FileNotFoundError):
        load(neural.FOLDER / "nowhere")
