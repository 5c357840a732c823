"""`lmlib ledger`: every compressor on the same bytes."""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from lmlib.commands import options
from lmlib.commands.compress import add_knowledge, primed, progress_bar

TEXT = """\
Compress files by gzip, bzip2, xz, by zstd, brotli and PPMd where they are installed
(the extra `compress` brings them), and by the methods of `lmlib compress`; each at its
best, PPMd at its best order. With --prime all of them once more for somebody who has
these texts: what is sent then is C(texts + file) − C(texts). The size of the model
that gpt needs is a column of its own, and below stands from how much such text on it is
worth being sent; decoders are not counted. With --bits the model is rounded, entropy
coded (as by `lmlib quantize`, below 8 bits with --rows), and used as it then is.

examples:
  lmlib ledger alice.txt
  lmlib ledger letter.txt --prime other-letters.txt --method fast strong
  lmlib ledger letter.txt --method fast gpt --bits 32 8 4
"""


def add(commands: Any) -> None:
    parser = options.add_parser(commands, "ledger", "all compressors compared", TEXT)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="the data")
    parser.add_argument(
        "--method",
        nargs="*",
        choices=["fast", "strong", "gpt"],
        default=["fast"],
        help="of lmlib compress",
    )
    parser.add_argument(
        "--bits",
        nargs="+",
        type=int,
        default=[32],
        help="a weight of the model of gpt: 32, or 2 to 8",
    )
    add_knowledge(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    from lmlib.compression import ledger
    from lmlib.compression.quantize import BITS

    for bits in given.bits:
        if bits != 32 and bits not in BITS:
            raise ValueError(
                f"bits must be 32 or in {BITS[0]} … {BITS[-1]}, got {bits}"
            )
    text, knows = primed(given), " ".join(path.name for path in given.prime)
    texts = [(b"", "nothing"), (text, knows)] if text else [(b"", "nothing")]
    with tempfile.TemporaryDirectory() as folder:
        own: list[tuple[str, str, Path | None]] = []
        for method in given.method:
            if method == "gpt":
                own += _models(given.model, given.bits, Path(folder))
            else:
                own.append((f"lmlib {method}", method, None))
        for path in given.files:
            data = path.read_bytes()
            entries = [*ledger.classical(data, text, knows)]
            for name, method, model in own:
                for known, known_name in texts:
                    entries.append(_own(name, data, method, known, known_name, model))
            entries.sort(key=lambda entry: entry.data_bits)
            print(f"{path}: {len(data):,} bytes")
            print(ledger.table(entries, len(data)))
            for line in ledger.worth(entries, len(data)):
                print(line)
    return 0


def _models(
    model: Path | None, all_bits: list[int], folder: Path
) -> list[tuple[str, str, Path | None]]:
    """A row for each number of bits: its name, the method, and the model's folder."""
    from lmlib.shipped import FOLDER
    from lmlib.training.saved import load, save_quantized_model

    model = FOLDER / "gpt" if model is None else model
    rows: list[tuple[str, str, Path | None]] = []
    for bits in dict.fromkeys(all_bits):
        place = model
        if bits != 32:
            kept, place = load(model), folder / str(bits)
            save_quantized_model(
                kept.model,
                kept.tokenizer,
                place,
                family=kept.family,
                bits=bits,
                axis=None if bits == 8 else 0,
            )
        name = "lmlib gpt" if bits == 32 else f"lmlib gpt, {bits} bits"
        rows.append((name, "gpt", place))
    return rows


def _own(
    name: str, data: bytes, method: str, known: bytes, knows: str, model: Path | None
) -> Any:
    from lmlib.compression.codec import compress
    from lmlib.compression.ledger import Entry, two_part

    began = time.perf_counter()
    with progress_bar(len(data), name) as progress:
        archive = compress(data, method, primed=known, model=model, progress=progress)
    seconds = time.perf_counter() - began
    if model is None:
        return Entry(name, 8 * len(archive), knows, 0, seconds)
    return two_part(name, 8 * len(archive), model, knows=knows, seconds=seconds)
