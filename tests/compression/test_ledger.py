"""Every row is the length of a file that somebody's decoder reads."""

import bz2
import gzip
import lzma
import math
import random
from dataclasses import replace

import brotli
import numpy as np
import pyppmd
import pytest
import torch
import zstandard

from lmlib.compression import ledger
from lmlib.compression.ledger import (
    Entry,
    classical,
    compressors,
    model_size,
    pays_from,
    prequential,
    table,
    two_part,
    worth,
)
from lmlib.data.corpus import Corpus
from lmlib.data.tokenizers import ByteTokenizer
from lmlib.objectives.causal import CausalLM
from lmlib.training.loop import train
from lmlib.training.pretrain import Size, make_model
from lmlib.training.settings import Settings

RNG = random.Random(0)
WORDS = [bytes(RNG.choices(b"aeinorst", k=RNG.randint(2, 9))) for _ in range(300)]
TEXT = b" ".join(RNG.choices(WORDS, k=3000))
OTHER = b" ".join(RNG.choices(WORDS, k=3000))


def test_every_compressor_is_the_real_one():
    decoders = {
        "gzip": gzip.decompress,
        "bzip2": bz2.decompress,
        "xz": lzma.decompress,
        "zstd": zstandard.ZstdDecompressor().decompress,
        "brotli": brotli.decompress,
    }
    found = compressors()
    assert list(found) == [*decoders, "PPMd"]
    for name, decode in decoders.items():
        ((_, compress),) = found[name]
        assert decode(compress(TEXT)) == TEXT
    for order, (said, compress) in zip(ledger.PPMD_ORDERS, found["PPMd"], strict=True):
        assert said == f"order {order}"
        known = {"max_order": order, "mem_size": 1 << 28}
        assert pyppmd.decompress(compress(TEXT), **known) == TEXT


def test_alone_and_for_somebody_who_has_another_text():
    rows = list(classical(TEXT, OTHER, "the other"))
    names = [(row.name.split()[0], row.knows) for row in rows]
    assert names == [(n, k) for n in compressors() for k in ("nothing", "the other")]
    by = dict(zip(names, rows, strict=True))
    assert by["gzip", "nothing"].data_bits == 8 * len(gzip.compress(TEXT, mtime=0))
    assert by["bzip2", "the other"].data_bits == 8 * (
        len(bz2.compress(OTHER + TEXT)) - len(bz2.compress(OTHER))
    )
    for name in compressors():
        assert by[name, "the other"].data_bits < by[name, "nothing"].data_bits
    best = min(8 * len(pyppmd.compress(TEXT, max_order=k)) for k in ledger.PPMD_ORDERS)
    assert by["PPMd", "nothing"].data_bits == best


def test_without_the_extra_three_are_left(monkeypatch):
    monkeypatch.setattr(ledger.importlib.util, "find_spec", lambda name: None)
    assert [row.name for row in classical(TEXT)] == ["gzip -9", "bzip2 -9", "xz -9e"]


def test_a_model_pays_from_the_length_at_which_both_are_equal():
    n = pays_from(8 * 5_336_064.0, 1.55, 2.0)
    assert 8 * 5_336_064 + 1.55 * n == pytest.approx(2.0 * n)
    assert pays_from(8.0, 2.0, 1.9) == pays_from(8.0, 2.0, 2.0) == float("inf")
    assert pays_from(0.0, 1.0, 2.0) == 0


def test_two_parts_are_the_data_and_all_that_a_decoder_reads(tmp_path):
    sizes = {"config.json": 5, "model.safetensors": 100, "tokenizer.json": 30}
    for name, size in {**sizes, "lmlib.json": 7000}.items():  # says how it was made
        (tmp_path / name).write_bytes(bytes(size))
    entry = two_part("gpt", 16.5, tmp_path, seconds=2.0)
    assert entry == Entry("gpt", 17, "nothing", 8 * 135, 2.0)
    assert entry.bits == 17 + 8 * 135
    (tmp_path / "model.safetensors").rename(tmp_path / "quantized.safetensors")
    assert model_size(tmp_path) == 135
    (tmp_path / "quantized.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no weights"):
        two_part("gpt", 16.5, tmp_path)


def test_a_first_reading_is_the_area_under_its_losses():
    # Two equally probable symbols, then four, then three bits a symbol.
    nats = [math.log(2), math.log(4), math.log(8)]
    history = [
        {"step": 1, "losses": {"lm": nats[0], "nsp": 9.0}},
        {"step": 1, "validation": {"lm": 5.0}},
        {"step": 2, "losses": {"lm": nats[1], "nsp": 9.0}},
        {"step": 3, "losses": {"lm": nats[2], "nsp": 9.0}},
    ]
    assert prequential(history, [10, 10, 4]) == pytest.approx([10, 30, 42])
    # A second reading is none: the third step's rows have been learned from.
    assert prequential(history, [10, 10]) == pytest.approx([10, 30])
    assert prequential(history, [1], "nsp") == pytest.approx([9 / math.log(2)])
    with pytest.raises(ValueError, match=r"4 steps .* got 3"):
        prequential(history, [10] * 4)


def test_the_bits_of_a_run_are_those_of_its_model_before_each_step():
    """The first step's: of the random model; the second's: after one update."""
    tokens = np.random.default_rng(0).integers(0, 256, 400).astype(np.int32)
    corpus = Corpus(
        tokens, np.array([0, 400]), np.array([0, 1]), np.ones(400, dtype=bool), 400
    )
    special = ByteTokenizer().special
    objective = CausalLM(corpus, special, length=16, batch_size=8, seed=0)

    def fresh():
        torch.manual_seed(0)
        size = Size(d_model=16, n_layers=1, n_heads=2, length=16)
        return make_model("causal", special, ByteTokenizer.size, size)

    settings = Settings(steps=2, lr=0.01, decay="constant", precision="fp32")
    run = train(fresh(), objective, settings)
    targets = [objective.counts(objective.batch(step))["lm"] for step in range(2)]
    first, both = prequential(run.history, targets)
    once = fresh()
    assert first == pytest.approx(bits_of(once, objective, 0), rel=1e-5)
    train(once, objective, replace(settings, steps=1))
    assert both - first == pytest.approx(bits_of(once, objective, 1), rel=1e-5)


@torch.no_grad()
def bits_of(model, objective, step):
    return float(objective.losses(model, objective.batch(step))["lm"]) / math.log(2)


def test_what_a_model_is_worth_beside_the_best_that_knows_the_same():
    rows = [
        Entry("gpt", 1000, "nothing", 8_000_000),  # 1 bit a byte
        Entry("PPMd", 2000),  # 2 bits
        Entry("xz", 3000),
        Entry("fast", 500, "a.txt"),
        Entry("gpt", 800, "a.txt", 8_000_000),
    ]
    assert worth(rows, 1000) == [
        "gpt: pays for its model from 8.0 MB of such text on, beside PPMd",
        "gpt, knowing a.txt: never pays for its model, beside fast",
    ]
    assert worth(rows, 0) == worth(rows[:1], 1000) == []


def test_the_table_counts_the_model():
    rows = [Entry("xz", 8000), Entry("gpt", 4000, "a.txt", 80_000, 1.25)]
    shown = repr(table(rows, 4000)).splitlines()
    assert shown[1].split() == ["xz", "nothing", "1,000", "2.000", "0", "1,000", "0.0"]
    gpt = ["gpt", "a.txt", "500", "1.000", "10,000", "10,500", "1.2"]
    assert shown[2].split() == gpt
    assert "0.000" in repr(table([Entry("xz", 0)], 0))
