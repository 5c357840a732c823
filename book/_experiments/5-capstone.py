"""5, capstone: the sample entries on the practice set and on two hidden sets.

Each runs as a student's does: in the sandbox, within the limits, `compress` and
`decompress` apart. `staff` is lmlib's `Mixed` as one file; zlib, bzip2 and xz stand
beside them without the bytes of a program. Seed 0 is the practice set, 1 and 2 are
hidden ones. What there is of the record was made with the public files at hand.
"""

import ast
import bz2
import inspect
import lzma
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

from experiment import SEEDS, Row, Runs, main

from lmlib.compression import bit_history, coder, logistic, mixing
from lmlib.grading.contest import texts
from lmlib.grading.contest.entries import Limits, Text, pace, run_entry
from lmlib.grading.sandbox import doctor

FOLDER = Path(__file__).with_suffix("")
#: The quick ones first.
ENTRIES = (
    *("stored", "keeper", "borrower", "lzw", "order-0", "salted"),
    *("order-1", "order-2", "two-orders", "seven-contexts", "staff"),
)
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "zlib -9": lambda data: zlib.compress(data, 9),
    "bzip2 -9": bz2.compress,
    "xz -9e": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
}
STAFF = """
def compress(data):
    model, encoder = Mixed(lines=18), Encoder()
    for byte in data:
        for place in range(7, -1, -1):
            bit = byte >> place & 1
            encoder.encode_bit(bit, model.p1())
            model.update(bit)
    coded = b"\\1" + len(data).to_bytes(3, "big") + encoder.finish()
    return coded if len(coded) <= len(data) else b"\\0" + data

def decompress(archive):
    if archive[0] == 0:
        return archive[1:]
    model, decoder = Mixed(lines=18), Decoder(archive[4:])
    data = bytearray()
    for _ in range(int.from_bytes(archive[1:4], "big")):
        byte = 0
        for _ in range(8):
            bit = decoder.decode_bit(model.p1())
            model.update(bit)
            byte = 2 * byte + bit
        data.append(byte)
    return bytes(data)
"""


class _Bare(ast.NodeTransformer):
    """Without annotations, and without what comes from other modules of lmlib."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        node.returns = None
        self.generic_visit(node)
        return None if node.name == "frequencies" else node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST | None:
        self.generic_visit(node)
        return None if node.name in ("Mixture",) else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        made = ast.Assign([node.target], node.value) if node.value else None
        return made and ast.copy_location(made, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        module = node.module or ""
        foreign = ("lmlib", "jaxtyping", "numpy.typing", "collections.abc")
        return None if module.startswith(foreign) or module == "numpy" else node


def staff() -> str:
    """lmlib's small mixer with its coder, as an entry."""

    def bare(module: ModuleType) -> str:
        return ast.unparse(_Bare().visit(ast.parse(inspect.getsource(module))))

    kept = [bare(module) for module in (coder, bit_history, logistic, mixing)]
    return "\n".join([*kept, STAFF])


def set_of(seed: int) -> list[Text]:
    return texts.hidden(f"recorded {seed}") if seed else texts.practice()


def runs() -> Runs:
    sandbox = doctor.probe()
    slower = pace()

    def entry(name: str, seed: int) -> Row:
        source = staff() if name == "staff" else (FOLDER / f"{name}.py").read_text()
        found = run_entry(source, set_of(seed), Limits(), sandbox, pace=slower)
        return {"total": found.total, "outcome": asdict(found), "pace": slower}

    def packer(name: str, seed: int) -> Row:
        sizes = [len(PACKERS[name](text.data)) for text in set_of(seed)]
        return {"total": sum(sizes), "sizes": sizes}

    for seed in SEEDS:
        for name in PACKERS:
            yield {"entry": name, "seed": seed}, lambda n=name, s=seed: packer(n, s)
        for name in ENTRIES:
            yield {"entry": name, "seed": seed}, lambda n=name, s=seed: entry(n, s)


if __name__ == "__main__":
    main(__file__, runs())
