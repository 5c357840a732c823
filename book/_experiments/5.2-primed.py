"""5.2: the language reference's test documents, for those who have read its like.

A larger GPT is trained first, into `_build` (105 minutes of a busy core; a run that
was stopped goes on), and then 120 steps more on the reference's own training documents;
the best of six validations is kept. Every document ends with a zero byte, behind which
a network begins anew; its bits count, and bytes are those of the documents alone. One
training, and so no spread.
"""

import functools
from pathlib import Path

from experiment import Row, Runs, main, shipped_weights
from jaxtyping import Int64
from numpy import ndarray

from lmlib.cli import main as lmlib
from lmlib.compression.mixing import Mixture
from lmlib.compression.neural import NextByte, Transformer
from lmlib.compression.predictors import Bits, Predictor, bits
from lmlib.compression.strong import Strong
from lmlib.data.installed import SOURCES
from lmlib.data.load import load_corpus, load_documents
from lmlib.objectives.causal import CausalLM
from lmlib.shipped import shipped
from lmlib.training.loop import train, validation_loss
from lmlib.training.saved import load
from lmlib.training.settings import Settings

FOLDER = Path(__file__).parents[2] / "_build" / "experiments" / "gpt-6x256"
PRETRAINING = (
    "pretrain causal --layers 6 --width 256 --heads 4 --length 256 --batch 16 "
    "--optimizer muon --steps 2600 --every 200 --resume --out"
)
TUNING = Settings(steps=120, lr=1e-3, optimizer="muon", warmup=10, validate_every=20)

NOTHING, SOME = "nothing", "standard library, reference"
ALL, NEAREST_FIRST = "all training text, nearest last", "nearest first"
TEXTS = {
    NOTHING: (),
    SOME: ("stdlib", "reference"),
    ALL: SOURCES[::-1],
    NEAREST_FIRST: SOURCES,
}
NONE, SHIPPED, LARGER, TUNED = "none", "shipped GPT", "GPT 6 × 256", "the same, tuned"
RUNS = {
    NONE: (NOTHING, SOME, ALL, NEAREST_FIRST),
    SHIPPED: (NONE, ALL),
    LARGER: (NONE, ALL),
    TUNED: (NONE, NOTHING, ALL),
}


def text_of(*names: str, split: str = "train") -> bytes:
    documents = (d for name in names for d in load_documents(name, split))
    return b"".join(d.text.encode() + b"\0" for d in documents)


@functools.cache
def test_text() -> bytes:
    return text_of("reference", split="test")


class Documents:
    """A `BytePredictor`: a transformer that begins anew behind each zero."""

    def __init__(self, transformer: Transformer) -> None:
        self._transformer = transformer
        self._inner = NextByte(transformer)

    def frequencies(self) -> Int64[ndarray, "256"]:
        return self._inner.frequencies()

    def update(self, byte: int) -> None:
        if byte:
            self._inner.update(byte)
        else:
            self._inner = NextByte(self._transformer)


@functools.cache
def network(name: str) -> Transformer:
    if name == SHIPPED:
        saved = shipped("gpt")
        return Transformer(saved.model, saved.tokenizer, keep=112)
    if not (FOLDER / "lmlib.json").exists():
        lmlib([*PRETRAINING.split(), str(FOLDER)])
    saved = load(FOLDER)
    if name == TUNED:
        seen, held_out = (
            CausalLM(
                load_corpus("reference", saved.tokenizer, split),
                saved.tokenizer.special,
                length=256,
                batch_size=16,
            )
            for split in ("train", "valid")
        )
        measure = validation_loss(
            held_out, held_out.evaluation_batches, precision="fp32"
        )
        train(saved.model, seen, TUNING, validate=measure)
    return Transformer(saved.model, saved.tokenizer, keep=224)


class Said:
    """A `Predictor`: says again, bit by bit, what another one said."""

    def __init__(self, said: list[int]) -> None:
        self._said = iter(said)
        self._p = next(self._said)

    def p1(self) -> int:
        return self._p

    def update(self, bit: int) -> None:
        self._p = next(self._said, self._p)


@functools.cache
def said(kind: str, name: str) -> list[int]:
    """What the network, or the mixer that has read this, says of each bit."""
    predictor: Predictor
    if kind == "network":
        predictor = Bits(Documents(network(name)))
    else:
        predictor = Strong(len(test_text()), text_of(*TEXTS[name]))
    found = []
    for byte in test_text():
        for place in range(7, -1, -1):
            found.append(predictor.p1())
            predictor.update(byte >> place & 1)
    return found


def run(name: str, has_read: str) -> Row:
    asked = [("network", name), ("mixer", has_read)]
    parts = [Said(said(*who)) for who in asked if who[1] != NONE]
    text = test_text()
    spent = bits(Mixture(parts) if len(parts) > 1 else parts[0], text)
    return {"bits": spent, "bytes": len(text) - text.count(0)}


def runs() -> Runs:
    for name, readings in RUNS.items():
        weights = shipped_weights("gpt") if name == SHIPPED else None
        for has_read in readings:
            what = {"network": name, "mixer_has_read": has_read, "weights": weights}
            yield what, functools.partial(run, name, has_read)


if __name__ == "__main__":
    main(__file__, runs())
