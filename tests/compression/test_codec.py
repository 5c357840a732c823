"""Archives: all bytes come back, and nothing else ever comes out."""

import os
import random
import subprocess
import sys
import zlib

import pytest

from lmlib.compression import codec
from lmlib.compression.codec import compress, decompress, restore_runs, shorten_runs
from lmlib.compression.neural import Transformer
from lmlib.shipped import FOLDER

pytestmark = pytest.mark.usefixtures("no_runtime_types")

TEXT = b"How can a clam cram in a clean cream can? In a clean cream can a clam cram. "
LONG = b"\xff\xff\xff\xff\x7f"  # as a length, 2^35 − 1
DOCUMENTATION = b"Return a new array of the given shape, filled with zeros.\n"
CHINESE = "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？".encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a",
        b"\0",
        bytes(5_000_000),
        b"\xff" * 31 + b"\0" * 32 + b"\xff" * 33,
        random.Random(0).randbytes(500),
        bytes(range(256)),
        b"\xff\xfe\x80 is no UTF-8 \xc3",
        CHINESE,
        CHINESE.decode().encode("gb18030"),
        b"a\r\nb\rc\n",
        codec.MAGIC * 9,
    ],
    ids=lambda data: f"{data[:6]}×{len(data)}",
)
def test_any_bytes_come_back(data):
    archive = compress(data)
    assert decompress(archive) == data
    assert len(archive) <= len(data) + 30
    assert codec.length(archive) == len(data)


def test_what_repeats_gets_short_and_an_archive_does_not():
    archive = compress(TEXT * 6)
    assert len(archive) < 0.35 * len(TEXT * 6)
    again = compress(archive)
    assert again[5] == codec.METHODS.index("stored")
    assert len(again) <= len(archive) + 30
    assert decompress(decompress(again)) == TEXT * 6


def test_a_text_that_is_known_need_not_be_told():
    alone, primed = compress(CHINESE), compress(CHINESE, primed=CHINESE + TEXT)
    assert len(primed) < len(alone) - 30
    assert decompress(primed, primed=CHINESE + TEXT) == CHINESE
    with pytest.raises(ValueError, match="primed with, got none"):
        decompress(primed)
    with pytest.raises(ValueError, match="primed must be the text"):
        decompress(primed, primed=TEXT)
    # What needs no text does not mind one.
    assert decompress(alone, primed=TEXT) == CHINESE


@pytest.fixture(scope="module")
def archive():
    return compress(TEXT)


def test_every_changed_byte_and_every_cut_is_told(archive):
    rng = random.Random(0)
    for i in range(len(archive)):
        damaged = bytearray(archive)
        damaged[i] ^= rng.randrange(1, 256)
        with pytest.raises(ValueError, match="archive"):
            decompress(bytes(damaged))
        with pytest.raises(ValueError, match="archive"):
            decompress(archive[:i])
    with pytest.raises(ValueError, match="damaged"):
        decompress(archive + b"\0")


def forged(archive, at, new):
    """With other bytes at a place, and a checksum that is right again."""
    body = archive[:at] + new + archive[at + len(new) : -4]
    return body + zlib.crc32(body).to_bytes(4, "big")


def test_a_wrong_archive_with_a_right_checksum_gives_no_wrong_bytes(archive):
    for at in range(18, len(archive) - 5):
        with pytest.raises(ValueError, match=r"not what was|too early|holds not"):
            decompress(forged(archive, at, bytes((archive[at] ^ 1,))))
    with pytest.raises(ValueError, match="holds not"):
        decompress(forged(archive, 7, bytes((len(TEXT) - 1,))))
    with pytest.raises(ValueError, match="format 1, this lmlib reads format 2"):
        decompress(forged(archive, 4, b"\x01"))
    with pytest.raises(ValueError, match="unknown method"):
        decompress(forged(archive, 5, b"\x63"))
    with pytest.raises(ValueError, match="no archive of lmlib"):
        decompress(forged(archive, 0, b"\x1f\x8b"))
    # A length beyond all measure ends where the payload does, not in years.
    with pytest.raises(ValueError, match="too early"):
        decompress(forged(archive, 7, LONG + LONG + archive[9:-4]))


def test_runs_come_back_whatever_stands_beside_them():
    rng = random.Random(0)
    lengths = [1, 2, 31, 32, 33, 64, 159, 160, 161, 5000]
    for _ in range(2000):
        data = b"".join(
            bytes((rng.choice(b"\0\n\\]^-a\x9f\xff"),)) * rng.choice(lengths)
            for _ in range(rng.randrange(8))
        )
        body = shorten_runs(data)
        assert restore_runs(body, len(data)) == data
        assert len(body) <= len(data) * 33 / 32
    assert len(shorten_runs(bytes(10_000_000))) < 40


def test_an_unknown_method_is_told():
    with pytest.raises(ValueError, match="method must be one of fast, strong, gpt"):
        compress(TEXT, "stored")


def test_strong_without_numba_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(
        codec.importlib.util, "find_spec", lambda name: None if name == "numba" else 1
    )
    with pytest.raises(ValueError, match=r"pip install '.\[compress\]'"):
        compress(TEXT, "strong")
    assert decompress(compress(TEXT)) == TEXT


def test_what_strong_wrote_comes_back():
    by_strong = compress(TEXT, "strong", primed=CHINESE)
    assert by_strong[5] == codec.METHODS.index("strong")
    assert decompress(by_strong, primed=CHINESE) == TEXT
    assert decompress(compress(b"", "strong")) == b""


def test_progress_is_told():
    told = []
    archive = compress(TEXT * 40, progress=lambda done, bits: told.append((done, bits)))
    assert [done for done, _ in told] == [0, 1024, 2048]
    assert 0 < told[1][1] <= told[2][1] < 8 * len(archive)
    told.clear()
    decompress(archive, progress=lambda done, bits: told.append((done, bits)))
    assert [done for done, _ in told] == [0, 1024, 2048]


@pytest.mark.parametrize("method", ["fast", "gpt"])
def test_other_processes_write_the_same_and_read_it(method):
    data = (TEXT + CHINESE) * 12 if method == "fast" else TEXT[:50] + CHINESE[:20]
    program = f"""
import sys
from lmlib.compression.codec import compress
sys.stdout.buffer.write(compress({data!r}, {method!r}))
"""
    archive = compress(data, method)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **threads, "PYTHONHASHSEED": "1"},
        capture_output=True,
        check=True,
    )
    assert result.stdout == archive
    assert decompress(archive) == data


def test_the_format_is_for_good():
    """What an earlier lmlib wrote must be read, or VERSION must change."""
    archive = bytes.fromhex(
        "6c6d6c5a020100454560590f516659635771415badbd59518e9fc27e6c34a381"
        "4954f7e47f36af80c8d7b2a07774d7910a33c4b5f9f9e66c3686e242383e9c50"
        "b672f10ef61a"
    )
    assert decompress(archive) == CHINESE


# -- A model --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_gpt():
    return compress(DOCUMENTATION, "gpt")


def test_gpt_knows_what_documentation_says(by_gpt):
    assert len(by_gpt) < len(compress(DOCUMENTATION)) - 5
    assert decompress(by_gpt) == DOCUMENTATION


def test_bytes_that_are_no_text_come_back_from_gpt_too():
    data = b"\xff\xfe no \xc3(" + CHINESE[:20] + b"\r\n\0</s><mask>" + b"zqx" * 5
    assert decompress(compress(data, "gpt", primed=TEXT), primed=TEXT) == data


def test_another_model_or_machine_is_told(by_gpt, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Transformer, "probe", lambda self: b"another")
        with pytest.raises(ValueError, match="another processor, or version of torch"):
            decompress(by_gpt)
    with monkeypatch.context() as patched:
        patched.setattr(Transformer, "identity", b"another")
        with pytest.raises(ValueError, match="model must be the one"):
            decompress(by_gpt)


def test_an_encoder_is_no_compressor():
    with pytest.raises(ValueError, match="model must be a decoder"):
        compress(TEXT, "gpt", model=FOLDER / "bert")
