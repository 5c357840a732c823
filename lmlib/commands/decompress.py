"""`lmlib decompress`: the very bytes that `lmlib compress` was given."""

import argparse
from typing import Any

from lmlib.commands import options
from lmlib.commands.compress import (
    SUFFIX,
    add_common,
    check_free,
    primed,
    progress_bar,
    read,
    write,
)

TEXT = """\
Give back, bit for bit, what `lmlib compress` was given. An archive that is damaged, or
was made with another --prime or --model, is told, and nothing is written.

FILE.lmz is made FILE; - stands for standard input or output.

examples:
  lmlib decompress alice.txt.lmz
  lmlib decompress letter.lmz -o - --prime other-letters.txt
"""


def add(commands: Any) -> None:
    parser = options.add_parser(commands, "decompress", "the bytes again", TEXT)
    parser.add_argument("file", metavar="FILE", help="what `lmlib compress` wrote")
    add_common(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    from lmlib.compression.codec import decompress, length

    out = given.out or given.file.removesuffix(SUFFIX)
    if out == given.file != "-":
        raise ValueError(f"{given.file} does not end in {SUFFIX}: say where with -o")
    check_free(out, given.force)
    archive = read(given.file)
    with progress_bar(length(archive), given.file) as progress:
        data = decompress(
            archive, primed=primed(given), model=given.model, progress=progress
        )
    write(out, data)
    return 0
