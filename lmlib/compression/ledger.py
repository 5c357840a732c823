"""The ledger: what every compressor makes of the same bytes (section 5.3).

Rows can be compared only if the books are honest: all have the same bytes; what both
sides knew beforehand is named, and all know the same; a model that is sent is counted;
time stands beside size. What a compressor makes of a text for somebody who has another
one is C(other + text) − C(other).

A model can be paid for in three ways: it is sent (`two_part`), it is known already and
said to be (`Entry.knows`), or the receiver trains it too, on what has been decoded
(`prequential`).

Source: Blier & Ollivier (2018), "The Description Length of Deep Learning Models", which
weighs these ways on networks.
"""

import bz2
import gzip
import importlib.util
import lzma
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from lmlib.tables import Table

Compressor = Callable[[bytes], bytes]

#: What a decoder reads of a model's folder: what it is, its weights, its tokens.
MODEL_FILES = (
    "config.json",
    "model.safetensors",
    "quantized.safetensors",
    "tokenizer.json",
)
#: The orders among which PPMd's best is looked for; two bytes would say which.
PPMD_ORDERS = (3, 4, 5, 6, 8, 12, 16, 24, 32)


@dataclass(frozen=True)
class Entry:
    """A row: what one compressor made of the data.

    Attributes:
        data_bits: the length of what was sent.
        knows: what both sides had before.
        model_bits: the size of the model that both must have.
        seconds: of compression.
    """

    name: str
    data_bits: int
    knows: str = "nothing"
    model_bits: int = 0
    seconds: float = 0.0

    @property
    def bits(self) -> int:
        """What it costs in all."""
        return self.data_bits + self.model_bits


def compressors() -> dict[str, Sequence[tuple[str, Compressor]]]:
    """By name the compressors that are installed, each at its best, in variants.

    gzip, bzip2 and xz come with Python; zstd, brotli and PPMd with an extra. Of the
    variants of one compressor the shortest file counts.
    """
    found: dict[str, Sequence[tuple[str, Compressor]]] = {
        "gzip": [("-9", lambda data: gzip.compress(data, 9, mtime=0))],
        "bzip2": [("-9", bz2.compress)],
        "xz": [
            ("-9e", lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
        ],
    }
    if module := _installed("zstandard"):
        found["zstd"] = [("-22", _zstd(module))]
    if module := _installed("brotli"):
        found["brotli"] = [("-11", _brotli(module))]
    if module := _installed("pyppmd"):
        found["PPMd"] = [(f"order {k}", _ppmd(module, k)) for k in PPMD_ORDERS]
    return found


def classical(
    data: bytes, given: bytes = b"", knows: str = "a text"
) -> Iterator[Entry]:
    """Every compressor that is installed: alone, and for somebody who has `given`.

    Parameters:
        knows: what `given` is called.
    """
    for name, variants in compressors().items():
        yield _best(name, variants, data, b"", "nothing")
        if given:
            yield _best(name, variants, data, given, knows)


def _best(
    name: str,
    variants: Sequence[tuple[str, Compressor]],
    data: bytes,
    given: bytes,
    knows: str,
) -> Entry:
    """The variant with the shortest file; its time is that of the data alone."""
    entries = []
    for variant, compress in variants:
        before = len(compress(given)) if given else 0
        began = time.perf_counter()
        size = len(compress(given + data)) - before
        seconds = time.perf_counter() - began
        entries.append(Entry(f"{name} {variant}", 8 * size, knows, 0, seconds))
    return min(entries, key=lambda entry: entry.data_bits)


def two_part(
    name: str,
    data_bits: float,
    model: Path,
    *,
    knows: str = "nothing",
    seconds: float = 0.0,
) -> Entry:
    """A model that is sent first, and the data for somebody who has it.

    Parameters:
        data_bits: −Σ log₂ p under the model, or what a coder made of it.
        model: its folder, of which the files count that a decoder reads, as they lie
            on the disk.

    Raises:
        FileNotFoundError: there are no weights in the folder.
    """
    return Entry(name, math.ceil(data_bits), knows, 8 * model_size(model), seconds)


def model_size(folder: Path) -> int:
    """The bytes of a model's files, in float32 or quantized, with its tokenizer.

    Raises:
        FileNotFoundError: there are no weights in the folder.
    """
    files = [folder / name for name in MODEL_FILES if (folder / name).is_file()]
    if not any(file.suffix == ".safetensors" for file in files):
        raise FileNotFoundError(f"{folder} has no weights")
    return sum(file.stat().st_size for file in files)


def prequential(
    history: Sequence[Mapping[str, Any]], targets: Sequence[int], part: str = "lm"
) -> list[float]:
    """The bits that a learning model has written after each step of its first reading.

    The loss of a step is that of the model *before* it, on rows that are new to it. So
    the rows can be coded with it; a receiver decodes them, makes the same step, and is
    ready for the next. Nothing is sent but these bits: they are the area under the loss
    curve. Of a second reading they are not, for its rows have been learned from.

    Parameters:
        history: of a `Run`: of each step the `losses`, in nats per target.
        targets: how many predictions each step of the first reading makes; what comes
            after them in the history is passed over.

    Raises:
        ValueError: the history ends before the first reading does.
    """
    losses = [line["losses"][part] for line in history if "losses" in line]
    if len(losses) < len(targets):
        raise ValueError(
            f"history must have the {len(targets)} steps of the first reading, got "
            f"{len(losses)}"
        )
    costs = (loss * n / math.log(2) for loss, n in zip(losses, targets, strict=False))
    return list(accumulate(costs))


def pays_from(model_bits: float, own: float, rival: float) -> float:
    """From how many bytes of data on a model is worth being sent.

    Parameters:
        model_bits: its size.
        own, rival: bits a byte with it, and with the best that needs no model.

    Returns:
        The bytes at which model and data together are as long as the rival's; inf if
        they never are.
    """
    return model_bits / (rival - own) if own < rival else float("inf")


def worth(entries: Sequence[Entry], n_bytes: int) -> list[str]:
    """Of each row with a model, from how much such text on it pays for itself.

    Its rival is the shortest row without one that knows the same.
    """
    lines = []
    for entry in entries:
        rivals = [
            other
            for other in entries
            if not other.model_bits and other.knows == entry.knows
        ]
        if not entry.model_bits or not rivals or not n_bytes:
            continue
        best = min(rivals, key=lambda other: other.data_bits)
        n = pays_from(
            float(entry.model_bits), entry.data_bits / n_bytes, best.data_bits / n_bytes
        )
        from_where = (
            f"pays for its model from {n / 1e6:,.1f} MB of such text on"
            if math.isfinite(n)
            else "never pays for its model"
        )
        known = "" if entry.knows == "nothing" else f", knowing {entry.knows}"
        lines.append(f"{entry.name}{known}: {from_where}, beside {best.name}")
    return lines


def table(entries: Sequence[Entry], n_bytes: int) -> Table:
    """The ledger of `n_bytes` of data."""
    return Table(
        [
            {
                "compressor": entry.name,
                "knows": entry.knows,
                "bytes": f"{entry.data_bits / 8:,.0f}",
                "bits a byte": f"{entry.data_bits / max(n_bytes, 1):.3f}",
                "bytes of the model": f"{entry.model_bits / 8:,.0f}",
                "in all": f"{entry.bits / 8:,.0f}",
                "seconds": f"{entry.seconds:.1f}",
            }
            for entry in entries
        ]
    )


def _installed(name: str) -> Any:
    """The module, or None."""
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def _zstd(module: Any) -> Compressor:
    # The window must reach back over all that is known.
    best = module.ZstdCompressionParameters.from_level(22, window_log=27)
    return module.ZstdCompressor(compression_params=best).compress


def _brotli(module: Any) -> Compressor:
    return lambda data: module.compress(data, lgwin=24)


def _ppmd(module: Any, order: int) -> Compressor:
    return lambda data: module.compress(  # variant I, the later one
        data, max_order=order, mem_size=1 << 28
    )
