"""Any bytes come back, from any process; parts against plain integers of Python."""

import ast
import json
import lzma
import math
import os
import pydoc_data.topics
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lmlib.compression import strong
from lmlib.compression.logistic import LIMIT
from lmlib.compression.mixing import Mixture
from lmlib.compression.predictors import KT, Bits, bits, decode, encode

ROOT = Path(__file__).resolve().parents[2]
DRAWN = random.Random(0)
TEXT = "\n".join(pydoc_data.topics.topics.values()).encode()
CHINESE = "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？".encode()


def drawn(n: int) -> bytes:
    return random.Random(n).randbytes(n)


CASES = {
    "empty": b"",
    "one byte": b"a",
    "a zero": b"\0",
    "zeros": bytes(30_000),
    "ones": b"\xff" * 5000,
    "random": drawn(5000),
    "all bytes": bytes(range(256)) * 8,
    "invalid UTF-8": b"\x80\xbf\xc3\xff\xfe\xe5\xad" * 50 + drawn(500),
    "Chinese": CHINESE * 5 + CHINESE[:-1],
    "text": TEXT[:6000],
    "lines": b"\n" * 300 + b"a\n" * 300 + b"\r\n" * 300,
    "a chunk": TEXT[: strong.CHUNK],
    "one less": TEXT[: strong.CHUNK - 1],
    "one more": TEXT[: strong.CHUNK + 1],
    # Grows sure of itself, and is wrong: every match and run breaks off.
    "broken promises": b"".join(b"abcdefgh" * 40 + drawn(k) for k in range(1, 30)),
    "one bit in a million": bytes(20_000) + b"\x01" + bytes(5000) + b"\x80" + bytes(9),
}


@pytest.mark.parametrize("data", CASES.values(), ids=CASES)
def test_what_is_encoded_comes_back(data):
    payload = strong.encode(data)
    assert strong.decode(payload, len(data)) == data
    # The interval is cut in 65,536, and loses a little where it straddles the middle.
    bits = strong.code_length(data)
    assert bits - 8 <= 8 * len(payload) <= 1.0001 * bits + 32


def test_nothing_costs_nothing():
    assert strong.encode(b"") == b""
    assert strong.code_length(b"") == 0


def test_zeros_are_nearly_free_and_noise_hardly_grows():
    assert strong.code_length(bytes(30_000)) < 100 * 8
    noise = drawn(30_000)
    assert strong.code_length(noise) < 1.02 * 8 * len(noise)


def test_text_takes_a_quarter_less_than_with_xz():
    text = TEXT[:60_000]
    assert len(strong.encode(text)) < 0.75 * len(lzma.compress(text))


def test_primed_with_its_like_a_text_is_shorter():
    known, text = TEXT[:24_000], TEXT[24_000:28_000]
    payload = strong.encode(text, primed=known)
    assert strong.decode(payload, len(text), primed=known) == text
    assert len(payload) < 0.75 * len(strong.encode(text))
    # As the end of a text is coded behind its beginning.
    both = strong.code_length(known + text) - strong.code_length(known)
    assert strong.code_length(text, primed=known) == pytest.approx(both, rel=2e-3)


def test_primed_with_something_else_it_is_another_text():
    payload = strong.encode(TEXT[:2000], primed=b"hello")
    assert strong.decode(payload, 2000, primed=b"hellp") != TEXT[:2000]


def test_bit_by_bit_it_says_the_same():
    data, known = TEXT[6000:9000], TEXT[:6000]
    asked = strong.Strong(len(data), known)
    assert bits(asked, data) == pytest.approx(strong.code_length(data, known), rel=1e-9)
    with pytest.raises(ValueError, match="all of the n bytes have come"):
        asked.update(0)


def test_mixed_with_another_it_comes_back():
    data = TEXT[:700]

    def both() -> Mixture:
        return Mixture([strong.Strong(len(data)), Bits(KT(1))])

    assert decode(both(), encode(both(), data), len(data)) == data


def test_damage_gives_other_bytes_and_no_crash():
    text = TEXT[:3000]
    payload = strong.encode(text)
    for damaged in (payload[:-5], payload[5:], b"", bytes(900), b"\xff" * 900):
        assert strong.decode(damaged, 3000) != text
    flipped = bytearray(payload)
    flipped[len(payload) // 2] ^= 1
    back = strong.decode(bytes(flipped), 3000)
    assert back[:1000] == text[:1000]
    assert back != text


def test_what_is_written_today_is_read_tomorrow():
    """Or the number of the file format's version changes."""
    text = "It was the best of times, it was the worst of times; 学而时习之。".encode()
    payload = bytes.fromhex(
        "b928cdcf9a9747c0bd7838b7c29ed544c26fb42d1865a2cf"
        "424b1411d39d4fcf9edb2f3f35010a7f7f265b306db6cecd"
    )
    assert strong.encode(text) == payload
    assert strong.decode(payload, len(text)) == text


@pytest.mark.parametrize("primed", [b"", b"known"])
def test_a_model_without_a_text_beforehand_takes_at_most_320_mb(primed):
    def size(part):
        return sum(map(size, part)) if isinstance(part, tuple) else part.nbytes

    model = strong.start(1 << 40, strong.LINES[1 if primed else 0])
    assert size(model) < (1200e6 if primed else 320e6)


def test_progress_is_told_of_every_chunk():
    text, told = TEXT[:10_000], []
    payload = strong.encode(text, b"primed", lambda *both: told.append(both))
    assert [done for done, _ in told] == [4096, 8192, 10_000]
    assert told[-1][1] == pytest.approx(8 * len(payload), abs=32)
    again = []
    strong.decode(payload, len(text), b"primed", lambda *both: again.append(both))
    assert [done for done, _ in again] == [4096, 8192, 10_000]
    assert again[-1][1] == 8 * len(payload)


# -- The same bytes elsewhere ---------------------------------------------------------

ELSEWHERE = """
import json, sys
from lmlib.compression import strong
data = [bytes.fromhex(x) for x in json.load(sys.stdin)]
payloads = [strong.encode(x, primed=b"known") for x in data]
for x, y in zip(data, payloads):
    assert strong.decode(y, len(x), primed=b"known") == x
json.dump([y.hex() for y in payloads], sys.stdout)
"""


def elsewhere(data: list[bytes], **environment: str) -> list[bytes]:
    """What another process makes of it."""
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input=json.dumps([x.hex() for x in data]),
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [bytes.fromhex(x) for x in json.loads(done.stdout)]


def test_another_processor_and_other_threads_make_the_same_bytes(tmp_path):
    data = [b"", TEXT[:20_000], CHINESE * 9, drawn(3000)]
    here = [strong.encode(x, primed=b"known") for x in data]
    assert elsewhere(data) == here
    generic = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "NUMBA_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "3",
    }
    assert elsewhere(data, **generic) == here  # compiled
    assert any(tmp_path.rglob("*.nbc"))
    assert elsewhere(data, **generic) == here  # from the cache


def test_uncompiled_it_makes_the_same_bytes():
    # The same functions as Python runs them: whatever overflows or is taken for a
    # float in one of them only would show.
    data = ["Il a dit «non», Il a".encode() + b"\n\xff\x00A9"]
    here = [strong.encode(x, primed=b"known") for x in data]
    assert elsewhere(data, NUMBA_DISABLE_JIT="1", PYTHONWARNINGS="error") == here


def test_what_is_compiled_depends_on_this_file_alone():
    # Numba's cache would not notice that a number has changed in another.
    imported = {
        alias.name
        for node in ast.parse(Path(strong.__file__).read_text()).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lmlib")
        for alias in node.names
    }
    assert imported
    functions = [f for f in vars(strong).values() if hasattr(f, "py_func")]
    assert len(functions) > 20
    for function in functions:
        assert not imported & set(function.py_func.__code__.co_names), function


def test_without_numba_it_says_how_to_get_it():
    program = "import sys; sys.modules['numba'] = None; import lmlib.compression.strong"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "pip install numba" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("ImportError")


# -- Parts ----------------------------------------------------------------------------


def test_an_adaptive_probability_is_a_running_mean():
    t, cells = strong.tables(), np.array([strong.ONE // 2 << 8], np.int32)
    p, bits = 0.5, [DRAWN.random() < 0.2 for _ in range(400)]
    for n, bit in enumerate(bits):
        strong.adapt(cells, 0, strong.ONE * bit, t.rates)
        p += (bit - p) / (min(n, 255) + 1.6)
        assert cells[0] & 255 == min(n + 1, 255)
    # Every step rounds down, by 1 of 2^22 at most, and the rate is cut to 16 bits.
    assert (cells[0] >> 8) / strong.ONE == pytest.approx(p, abs=2e-3)


def test_a_probability_stays_one():
    t, cells = strong.tables(), np.zeros(1, np.int32)
    for target in [strong.ONE] * 3000 + [0] * 3000 + [0, strong.ONE] * 99:
        strong.adapt(cells, 0, target, t.rates)
        assert 0 <= cells[0] >> 8 < strong.ONE


def test_a_neuron_adds_and_learns():
    x = np.array([DRAWN.randint(-LIMIT, LIMIT) for _ in range(160)], np.int32)
    w = np.array([DRAWN.randint(-(1 << 26), 1 << 26) for _ in range(160)], np.int32)
    assert strong.dot(x, w) == sum(map(int.__mul__, x.tolist(), w.tolist())) >> 20
    for error in (25_600, -25_600, 1, -1, 0):
        trained = w.copy()
        strong.train(x, trained, error)
        moved = [(a * error + 512) >> 10 for a in x.tolist()]
        assert trained.tolist() == [
            a + b for a, b in zip(w.tolist(), moved, strict=True)
        ]


def test_a_neuron_that_is_sure_and_right_is_at_rest():
    t = strong.tables()
    for bit in (0, 1):
        sure = (bit << 16) - strong.squash(t, 2047 if bit else -2047)
        assert strong.step(sure, 30) == 0
    assert strong.step(65_000, 400) == -strong.step(-65_000, 400) == 25_390


def test_the_least_used_of_four_lines_makes_room():
    t, table = strong.tables(), np.zeros((4, 16), np.int32)
    hashes = [(k << 17) + 5 for k in range(1, 6)]
    lines = [strong.find(table, t.seen, h) for h in hashes[:4]]
    assert sorted(lines) == [0, 1, 2, 3]
    assert [strong.find(table, t.seen, h) for h in hashes[:4]] == lines
    for line in lines:
        table[line, 1] = int(t.after[0, 1]) << 16 | 7
    table[lines[2], 1] = 0
    assert strong.find(table, t.seen, hashes[4]) == lines[2]
    assert table[lines[2]].tolist() == [5 << 16] + [0x8000] * 15
    assert strong.find(table, t.seen, hashes[1]) == lines[1]
    assert table[lines[1], 1] & 0xFFFF == 7


def test_every_bit_of_a_byte_has_a_node_of_its_own():
    for first in (0, 4):
        nodes = {
            strong.node_of(1 << (first + k) | bits, first + k)
            for k in range(4)
            for bits in range(1 << k)
        }
        assert nodes == set(range(1, 16))


@pytest.mark.parametrize("seed", range(50))
def test_the_ending_lies_in_the_interval(seed):
    drawn = random.Random(seed)
    low = drawn.randrange(1 << 32)
    high = min(low + (1 << drawn.randrange(25, 33)), (1 << 32) - 1)
    ending = strong.ending(low, high)
    value = int.from_bytes(ending.ljust(4, b"\0"), "big")
    assert low <= value <= high
    shorter = len(ending) - 1
    if shorter >= 0:  # none that is shorter does
        unit = 1 << (32 - 8 * shorter)
        assert high // unit * unit < low


def test_the_interval_is_divided_in_proportion():
    coder = np.zeros(1, strong.CODER).view(np.recarray)
    stream = np.zeros(64, np.uint8)
    coder.high, bits = 0xFFFFFFFF, 0.0
    for _ in range(100):
        p, bit = DRAWN.randint(1, 65535), DRAWN.randint(0, 1)
        strong.narrow(coder[0], stream, p, bit, strong.ENCODE)
        bits -= math.log2((p if bit else 65536 - p) / 65536)
    width = int(coder.high[0] - coder.low[0]) + 1
    assert 8 * int(coder.used[0]) + 32 - math.log2(width) == pytest.approx(
        bits, abs=0.1
    )
