"""5.3: the books of the shipped GPT, of one that learns as it codes, and of the rivals.

All of them on the installed documentation: to learn from, what comes first of its
training set; to be measured on, the test set, of which nobody has read a word. And the
ledger of some public files.
"""

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from experiment import SEEDS, Row, Runs, main, shipped_weights

from lmlib.compression import ledger, strong
from lmlib.compression.codec import compress
from lmlib.data.documents import Document
from lmlib.data.load import encode_documents, load_documents
from lmlib.data.public import fetch
from lmlib.data.tokenizers import token_bytes
from lmlib.objectives.causal import CausalLM
from lmlib.shipped import FOLDER, shipped
from lmlib.training.loop import train
from lmlib.training.pretrain import Size, make_model
from lmlib.training.saved import load, save_quantized_model
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings

READ = 4_000_000  # bytes to learn from, or the documents that fill them
LEARNED = 300_000  # of them by the GPT that learns, which is slow
BATCH, LR = 16, 2e-3  # of section 3.2's runs
CURVE = (10_000, 30_000, 100_000, 300_000, 1_000_000, 2_000_000, READ)
STRIDE = 64  # a token has at least as many before it, as in the codec
FILES = ("alice29.txt", "lunyu.json", "tangshi300.json")
MODELS = {32: None, 8: None, 4: 0}  # bits: the axis that has scales of its own


def documents(n_bytes: int = READ) -> list[Document]:
    """The first of the training set, up to so many bytes."""
    found, n = [], 0
    for document in load_documents("installed", "train"):
        if (n := n + len(document.text.encode())) > n_bytes:
            return found
        found.append(document)
    return found


def as_bytes(some: list[Document]) -> bytes:
    return "".join(document.text for document in some).encode()


def learning(seed: int) -> Row:
    """A GPT with random weights reads the documents once."""
    tokenizer = shipped("gpt").tokenizer
    corpus = encode_documents(documents(LEARNED), tokenizer)
    objective = CausalLM(
        corpus, tokenizer.special, length=Size().length, batch_size=BATCH, seed=seed
    )
    steps = objective.n_rows // BATCH  # fewer than BATCH rows are left unread
    seed_everything(seed)
    model = make_model("causal", tokenizer.special, tokenizer.size, Size())
    settings = Settings(
        steps=steps,
        lr=LR,
        optimizer="muon",
        warmup=steps // 20,
        precision="fp32",
        seed=seed,
    )
    run = train(model, objective, settings)
    sizes = np.zeros(tokenizer.size, dtype=np.int64)
    for token, text in token_bytes(tokenizer).items():
        sizes[token] = len(text)
    targets, read = [], []
    for step in range(steps):
        batch = objective.batch(step)
        targets.append(objective.counts(batch)["lm"])
        real = batch["targets"][batch["targets"] >= 0].numpy()
        read.append(int(sizes[real].sum()))
    bits = ledger.prequential(run.history, targets)
    some = [step - 1 for step in range(10, steps, 10)] + [steps - 1]
    return {
        "steps": steps,
        "bytes_read": np.cumsum(read)[some].tolist(),
        "bits": [bits[step] for step in some],
    }


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


def large_mixer() -> Row:
    """`strong` reads the documents, then the test set."""
    text, test = as_bytes(documents()), as_bytes(load_documents("installed", "test"))
    points: list[tuple[int, float]] = []
    began = time.perf_counter()
    all_bits = 8 * len(
        strong.encode(
            text + test, progress=lambda n, bits: points.append((n, float(bits)))
        )
    )
    seconds = time.perf_counter() - began
    at, bits = np.array(points).T
    known = float(np.interp(len(text), at, bits))
    alone = 8 * len(strong.encode(test))
    wanted = [min(n, len(text)) for n in CURVE]
    return {
        "curve": [(n, float(np.interp(n, at, bits))) for n in wanted],
        "test_bytes": len(test),
        "alone": alone,
        "after_all": all_bits - known,
        "seconds": seconds,
    }


def small_mixer() -> Row:
    """`fast` reads as much as it can in half a minute."""
    text = as_bytes(documents())[:100_000]
    points: list[tuple[int, float]] = []
    bits = 8 * len(
        compress(text, progress=lambda n, bits: points.append((n, float(bits))))
    )
    at, so_far = np.array([*points, (len(text), bits)]).T
    wanted = [n for n in CURVE if n <= len(text)]
    return {"curve": [(n, float(np.interp(n, at, so_far))) for n in wanted]}


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
    for method in ("fast", "strong"):
        began = time.perf_counter()
        size = len(compress(data, method))
        seconds = time.perf_counter() - began
        entries.append(ledger.Entry(f"lmlib {method}", 8 * size, "nothing", 0, seconds))
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
    """In the order of what the page can least do without."""
    weights = shipped_weights("gpt")  # whose tokens the one that learns has, too
    makes: list[tuple[str, Any, Callable[[], Row]]] = [
        *(("GPT, sent", bits, partial(model_sent, bits)) for bits in MODELS),
        ("rivals", 0, rivals),
        *(("GPT, learning", seed, partial(learning, seed)) for seed in SEEDS),
        ("lmlib strong", 0, large_mixer),
        ("lmlib fast", 0, small_mixer),
        *(("file", name, partial(public, name)) for name in FILES),
    ]
    for what, which, make in makes:
        yield {"what": what, "which": which, "weights": weights}, make


if __name__ == "__main__":
    main(__file__, runs())
