"""`lmlib compress`: a predictor makes a file short."""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmlib.commands import options

TEXT = """\
Compress a file without loss: a predictor tells the probability of every bit, and an
arithmetic coder writes what it could not foresee.

  fast     a small context mixer in plain Python, some KB a second
  strong   a large one, compiled by numba (an extra), some ten KB a second
  gpt      the transformer that comes with lmlib, or another --model, mixed with fast:
           some hundred bytes a second. The archive can be read by machines that compute
           the very same, in practice by the same processor and version of torch.

With --prime the predictor reads these texts first, in this order: what they tell need
not be told again. Whoever decompresses the archive must have the same texts.

FILE is made FILE.lmz; - stands for standard input or output.

examples:
  lmlib compress alice.txt
  lmlib compress letter.txt -o letter.lmz --prime other-letters.txt
  tar c notes | lmlib compress - > notes.lmz
"""

SUFFIX = ".lmz"


def add(commands: Any) -> None:
    parser = options.add_parser(commands, "compress", "a predictor as a codec", TEXT)
    parser.add_argument("file", metavar="FILE", help="what to compress")
    parser.add_argument(
        "--method",
        choices=["fast", "strong", "gpt"],
        default="fast",
        help="the predictor",
    )
    add_common(parser)
    parser.set_defaults(run=run)


def add_common(parser: argparse.ArgumentParser) -> None:
    """What compress and decompress both ask for."""
    parser.add_argument("-o", "--out", metavar="OUT", help="where to write")
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    add_knowledge(parser)


def add_knowledge(parser: argparse.ArgumentParser) -> None:
    """What both sides must have."""
    parser.add_argument(
        "--prime",
        nargs="+",
        type=Path,
        default=[],
        metavar="TEXT",
        help="files that both sides have",
    )
    parser.add_argument(
        "--model", type=Path, help="a folder; by default the GPT that comes with lmlib"
    )


def run(given: argparse.Namespace) -> int:
    from lmlib.compression.codec import compress

    out = given.out or ("-" if given.file == "-" else given.file + SUFFIX)
    check_free(out, given.force)
    data = read(given.file)
    began = time.perf_counter()
    with progress_bar(len(data), given.file) as progress:
        archive = compress(
            data,
            given.method,
            primed=primed(given),
            model=given.model,
            progress=progress,
        )
    write(out, archive)
    rate = f", {8 * len(archive) / len(data):.4f} bits a byte" if data else ""
    print(
        f"{given.file}: {len(data):,} → {len(archive):,} bytes{rate}, "
        f"{time.perf_counter() - began:.1f} s",
        file=sys.stderr,
    )
    return 0


def primed(given: argparse.Namespace) -> bytes:
    """The texts of --prime, one after the other."""
    return b"".join(path.read_bytes() for path in given.prime)


def read(name: str) -> bytes:
    """The bytes of a file, or of standard input."""
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


def check_free(out: str, force: bool) -> None:
    """Raise OSError if `out` must not be replaced, or its folder is not there."""
    if out == "-":
        return
    if not Path(out).parent.is_dir():
        raise FileNotFoundError(f"{out}: there is no folder {Path(out).parent}")
    if not force and Path(out).is_file():
        raise FileExistsError(f"{out} is there already: --force replaces it")


def write(out: str, data: bytes) -> None:
    """Write all of it or, if that fails, nothing."""
    from lmlib.data.cache import replacing

    path = Path(out)
    if out == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    elif path.exists() and not path.is_file():  # a pipe, /dev/null: not to be replaced
        path.write_bytes(data)
    else:
        with replacing(path) as temporary:
            temporary.write_bytes(data)


@contextmanager
def progress_bar(n: int, name: str) -> Iterator[Any]:
    """A function that shows bytes, time left, and bits a byte so far on a terminal."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    with tqdm(total=n, unit="B", unit_scale=True, desc=name, disable=None) as bar:

        def progress(done: int, bits: float | int) -> None:
            if done:
                bar.set_postfix_str(f"{bits / done:.3f} bits a byte", refresh=False)
            bar.update(done - bar.n)

        yield progress
