"""`lmlib ledger`: every compressor on the same bytes."""

import argparse
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
that gpt needs is a column of its own; decoders are not counted.

examples:
  lmlib ledger alice.txt
  lmlib ledger letter.txt --prime other-letters.txt --method fast strong
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
    add_knowledge(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    from lmlib.compression import ledger

    text, knows = primed(given), " ".join(path.name for path in given.prime)
    for path in given.files:
        data = path.read_bytes()
        entries = [*ledger.classical(data, text, knows)]
        for method in given.method:
            entries += [
                _own(data, method, known, name, given.model)
                for known, name in ((b"", "nothing"), (text, knows))
                if known or name == "nothing"
            ]
        entries.sort(key=lambda entry: entry.data_bits)
        print(f"{path}: {len(data):,} bytes")
        print(ledger.table(entries, len(data)))
    return 0


def _own(data: bytes, method: str, known: bytes, knows: str, model: Path | None) -> Any:
    from lmlib.compression.codec import compress, model_size
    from lmlib.compression.ledger import Entry

    began = time.perf_counter()
    with progress_bar(len(data), method) as progress:
        archive = compress(data, method, primed=known, model=model, progress=progress)
    return Entry(
        f"lmlib {method}",
        8 * len(archive),
        knows,
        8 * model_size(method, model),
        time.perf_counter() - began,
    )
