"""5.3: the books of the shipped GPT and of its rivals.

On the installed documentation: to learn from, what comes first of its training set; to
be measured on, the test set, of which nobody has read a word. And on public files.
"""

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from experiment import Row, Runs, main, shipped_weights

from lmlib.compression import ledger
from lmlib.data.documents import Document
from lmlib.data.load import encode_documents, load_documents
from lmlib.data.public import fetch
from lmlib.objectives.causal import CausalLM
from lmlib.shipped import FOLDER, shipped
from lmlib.training.saved import load, save_quantized_model

READ = 4_000_000  # bytes to learn from, or the documents that fill them
BATCH = 16
CURVE = (10_000, 30_000, 100_000, 300_000, 1_000_000, 2_000_000, READ)
STRIDE = 64  # a token has at least as many before it, as in the codec
FILES = ("alice29.txt",)
MODELS = {32: None, 8: None, 4: 0}  # bits: the axis that has scales of its own


def documents() -> list[Document]:
    """The first of the training set, up to `READ` bytes."""
    found, n = [], 0
    for document in load_documents("installed", "train"):
        if (n := n + len(document.text.encode())) > READ:
            return found
        found.append(document)
    return found


def as_bytes(some: list[Document]) -> bytes:
    return "".join(document.text for document in some).encode()


def rivals() -> Row:
    """What needs no model: on the first bytes, and on the test set after all of them.

    For PPMd each size has its own best order.
    """
    text, test = as_bytes(documents()), as_bytes(load_documents("installed", "test"))
    curve: dict[str, list[tuple[int, float]]] = {}
    for n in CURVE:
        for entry in ledger.classical(text[:n]):
            points = curve.setdefault(entry.name.split()[0], [])
            points.append((min(n, len(text)), entry.data_bits))
    return {
        "curve": curve,
        "test_bytes": len(test),
        "test": [asdict(e) for e in ledger.classical(test, text, "documentation")],
    }


@torch.no_grad()
def code_length(model: Any, tokenizer: Any, some: list[Document]) -> float:
    """−Σ log₂ p of the documents and their ends."""
    corpus = encode_documents(some, tokenizer)
    if tokenizer.decode(corpus.tokens) != "".join(d.text for d in some):
        raise ValueError("the tokens do not give the text back")
    objective = CausalLM(corpus, tokenizer.special, length=128, batch_size=BATCH)
    model.eval()
    nats = sum(
        float(objective.losses(model, batch)["lm"])
        for batch in objective.evaluation_batches(STRIDE)
    )
    return nats / math.log(2)


def model_sent(bits: int) -> Row:
    """The shipped GPT, as a file of so many bits a weight, on the test set."""
    kept = shipped("gpt")
    test = load_documents("installed", "test")
    with tempfile.TemporaryDirectory() as folder:
        place = FOLDER / "gpt"
        if bits < 32:
            place = Path(folder)
            save_quantized_model(
                kept.model,
                kept.tokenizer,
                place,
                family=kept.family,
                bits=bits,
                axis=MODELS[bits],
            )
        rounded = load(place)
        n = code_length(rounded.model, rounded.tokenizer, test)
        entry = ledger.two_part(f"GPT, {bits} bits", n, place)
    return {"test_bytes": len(as_bytes(test)), "entry": asdict(entry)}


def public(name: str) -> Row:
    """The ledger of a file, with the shipped GPT alone as a model that is sent."""
    data = fetch(name).read_bytes()
    entries = [*ledger.classical(data)]
    kept, text = shipped("gpt"), data.decode()
    began = time.perf_counter()
    n = code_length(kept.model, kept.tokenizer, [Document(text, name)])
    seconds = time.perf_counter() - began
    entries.append(ledger.two_part("GPT, sent", n, FOLDER / "gpt", seconds=seconds))
    return {
        "bytes": len(data),
        "read_as_text": len(fetch(name).read_text(encoding="utf-8").encode()),
        "entries": [asdict(entry) for entry in entries],
    }


def runs() -> Runs:
    """No chance is in any of them, and so no seed."""
    weights = shipped_weights("gpt")
    makes: list[tuple[str, Any, Callable[[], Row]]] = [
        *(("GPT, sent", bits, partial(model_sent, bits)) for bits in MODELS),
        ("rivals", 0, rivals),
        *(("file", name, partial(public, name)) for name in FILES),
    ]
    for what, which, make in makes:
        yield {"what": what, "which": which, "weights": weights}, make


if __name__ == "__main__":
    main(__file__, runs())
