"""Every row is the length of a file that somebody's decoder reads."""

import bz2
import gzip
import lzma
import random

import brotli
import pyppmd
import pytest
import zstandard

from lmlib.compression import ledger
from lmlib.compression.ledger import Entry, classical, compressors, pays_from, table

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


def test_the_table_counts_the_model():
    rows = [Entry("xz", 8000), Entry("gpt", 4000, "a.txt", 80_000, 1.25)]
    shown = repr(table(rows, 4000)).splitlines()
    assert shown[1].split() == ["xz", "nothing", "1,000", "2.000", "0", "0.0"]
    assert shown[2].split() == ["gpt", "a.txt", "500", "1.000", "10,000", "1.2"]
    assert "0.000" in repr(table([Entry("xz", 0)], 0))
