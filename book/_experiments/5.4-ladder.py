"""5.4: a ladder of predictors: bits a byte of held-out text, and what each can do.

Every model answers the same questions of the test documents by likelihood alone: of
the options, the one whose continuation it gives the fewest bits. Counts go on learning
as they read, as compressors do; each question is answered by a copy of them, so that
none learns from another. The GPTs are trained here, into the cache.
"""

import math
import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from experiment import SEEDS, Row, Runs, main, shipped_weights

from lmlib.compression.mixing import Mixed
from lmlib.compression.predictors import (
    KT,
    BytePredictor,
    NGram,
    Predictor,
    bits,
    feed,
)
from lmlib.compression.strong import Strong
from lmlib.data.cache import cache_folder
from lmlib.data.installed import installed_docstrings, installed_documents, module_of
from lmlib.data.load import load_corpus
from lmlib.data.tokenizers import Tokenizer, token_bytes
from lmlib.models.gpt import GPT
from lmlib.shipped import shipped
from lmlib.training.pretrain import Size, pretrain
from lmlib.training.settings import Settings

WIDTHS, STEPS = (32, 64, 128), (60, 240, 960)
BATCH = 16
HELD_OUT = 500  # bytes of each test document
PACKAGES = ("stdlib", "numpy", "torch", "matplotlib")
CLOSING = {")": "(", "]": "[", "}": "{", '"': '"', "'": "'", "`": "`"}
RUNS = (1, 2, 4, 8)  # tokens that must all be right
WINDOW = 400  # bytes of context, about what the GPTs see
LONGEST = 4096  # bytes of a context and what comes after it, at most

Pair = tuple[str, str]  # a context and what comes after it


@dataclass(frozen=True)
class Question:
    """Which of the options is the likeliest?

    Attributes:
        module: the test document that it is about.
        options: contexts with continuations, one pair for each answer.
        right: the place of the right one.
    """

    module: str
    options: tuple[Pair, ...]
    right: int


# -- The questions --------------------------------------------------------------------


def names(split: Any, rng: np.random.Generator) -> Iterator[Question]:
    """Whose summary is this, of four functions of one module?

    What is scored is the summary after each name, so that all options pay for the same
    text.
    """
    summaries: dict[str, dict[str, str]] = {}
    for d in installed_docstrings(split):
        name = d.name.partition(":")[2].rpartition(".")[2]
        summary = " ".join(d.text.split("\n\n")[0].split())
        named = spoken(name) and not name.startswith("__")
        if named and 4 <= len(summary.split()) <= 30:
            summaries.setdefault(module_of(d), {}).setdefault(name, summary)
    for module, of in summaries.items():
        if len(of) < 4:
            continue
        for name in rng.permutation(list(of))[:4].tolist():
            others = [other for other in of if other != name]
            four = rng.permutation([name, *rng.choice(others, 3, replace=False)])
            options = tuple((f"{spoken(n)}\n\n", of[name]) for n in four.tolist())
            yield Question(module, options, four.tolist().index(name))


def spoken(name: str) -> str:
    """The words of a name: parse_args, parseArgs → parse args."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_+", " ", name).strip().lower()


def packages(split: Any, rng: np.random.Generator) -> Iterator[Question]:
    """From which of four packages is this docstring?

    What is scored is the docstring after some text of each package, from the training
    set.
    """
    texts = {p: installed_docstrings("train", sources=[p]) for p in PACKAGES}
    for right, package in enumerate(PACKAGES):
        held = [
            d
            for d in installed_docstrings(split)
            if d.source == package and len(d.text.split()) >= 8
        ]
        for i in rng.permutation(len(held))[:30]:
            pairs = []
            for p in PACKAGES:
                some = rng.permutation(len(texts[p]))[:5]
                excerpts = (texts[p][j].text[:80].rpartition(" ")[0] for j in some)
                context = "\n\n".join(excerpts)[:240] + "\n\n"
                pairs.append((context, held[i].text[:120]))
            yield Question(module_of(held[i]), tuple(pairs), right)


def brackets(split: Any, rng: np.random.Generator) -> Iterator[Question]:
    """Which of six marks closes what was opened 8 to 60 characters ago?"""
    places: dict[str, list[tuple[str, str]]] = {mark: [] for mark in CLOSING}
    for document in installed_documents(split):
        for closing, opening in CLOSING.items():
            o, c = re.escape(opening), re.escape(closing)
            inside = r"[^()\[\]{}\"'`]{8,60}"
            for found in re.finditer(rf"(?<!\w){o}{inside}(?<=\w){c}", document.text):
                before = document.text[max(0, found.end() - 1 - WINDOW) : found.end()]
                places[closing].append((document.name, before[:-1]))
    n = min(30, *(len(found) for found in places.values()))
    for right, found in enumerate(places.values()):
        for i in rng.permutation(len(found))[:n]:
            module, context = found[i]
            yield Question(module, tuple((context, m) for m in CLOSING), right)


def copies(split: Any, rng: np.random.Generator) -> Iterator[Question]:
    """Which word comes again, of four that nobody has read in training?"""
    word = re.compile(r"(?<=[ `'\"(*\n])[A-Za-z_]{8,20}(?!\w)")
    train = "\n".join(d.text for d in installed_documents("train"))
    known = set(word.findall(train))
    again: list[tuple[str, str, str]] = []
    for document in installed_documents(split):
        met: dict[str, int] = {}
        for found in word.finditer(document.text):
            name, start = found[0], found.start()
            if name in known:
                continue
            before = met.get(name)
            if before is not None and start - before < WINDOW - 40:
                context = document.text[max(0, start - WINDOW) : start]
                again.append((document.name, context, name))
            met[name] = start
    for i in rng.permutation(len(again))[:120]:
        module, context, name = again[i]
        others = sorted({n for m, _, n in again if m != module and n not in context})
        others = [n for n in others if abs(len(n) - len(name)) <= 1]
        if len(others) >= 3:
            four = rng.permutation([name, *rng.choice(others, 3, replace=False)])
            space = context[len(context.rstrip(" ")) :]  # a token begins with it
            context = context[: len(context) - len(space)]
            options = tuple((context, space + n) for n in four.tolist())
            yield Question(module, options, four.tolist().index(name))


TASKS = {"names": names, "packages": packages, "brackets": brackets, "copies": copies}


@cache
def questions(task: str, split: str = "test") -> list[Question]:
    return list(TASKS[task](split, np.random.default_rng(0)))


@cache
def held_out() -> list[tuple[str, str]]:
    """(module, text) of what the bits a byte are measured on."""
    return [(d.name, d.text[:HELD_OUT]) for d in installed_documents("test")]


def most_words(question: Question) -> int:
    """The option whose name has the largest share of words in the summary: no model."""
    shares = []
    for name, summary in question.options:
        words = name.lower().split()
        shares.append(sum(w in summary.lower() for w in words) / len(words))
    return int(np.argmax(shares))


# -- What answers: bits of each continuation ------------------------------------------


class Reader(Protocol):
    """Anything that can be asked for the bits of texts after their contexts."""

    def bits(self, pairs: Sequence[Pair]) -> list[float]: ...


class Compressor:
    """Any compressor that has read; a forked process reads each pair, and forgets."""

    def __init__(self, predictor: BytePredictor | Predictor) -> None:
        self.predictor = predictor

    def bits(self, pairs: Sequence[Pair]) -> list[float]:
        """See `Reader`."""
        return [self.forked(context, text) for context, text in pairs]

    def forked(self, context: str, text: str) -> float:
        """What a copy of the predictor says, which the system makes of what is written
        to: the tables of the strong one are 200 MB, and no pair fills them.
        """
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                self.spent(context.encode())
                os.write(writing, struct.pack("d", self.spent(text.encode())))
            finally:
                os._exit(0)
        os.close(writing)
        (found,) = struct.unpack("d", os.read(reading, 8))
        os.close(reading)
        os.waitpid(child, 0)
        return float(found)

    def spent(self, text: bytes) -> float:
        if not isinstance(self.predictor, BytePredictor):
            return bits(self.predictor, text)
        total = 0.0
        for byte in text:
            f = self.predictor.frequencies()
            total += math.log2(f.sum() / f[byte])
            self.predictor.update(byte)
        return total


def counting(predictor: KT | NGram) -> Compressor:
    for byte in a_ninth():
        predictor.update(byte)
    return Compressor(predictor)


def small_mixer() -> Compressor:
    mixed = Mixed()
    feed(mixed, a_ninth())
    return Compressor(mixed)


class Tokens:
    """A GPT. The last token of a continuation stands for all that begin with it:
    what is asked is how likely the text goes on with these bytes, whatever comes then.
    """

    def __init__(self, model: GPT, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self.texts = token_bytes(tokenizer)
        self.longest = model.config.max_len

    @cache  # noqa: B019  one reader a model, and it ends with the run
    def beginning_with(self, token: int) -> torch.Tensor:
        start = self.texts[token]
        return torch.tensor([i for i, t in self.texts.items() if t.startswith(start)])

    def cut(self, context: str, text: str) -> tuple[tuple[int, ...], int]:
        """All tokens, and where those of the text begin."""
        after = self.tokenizer.encode(text).tolist()
        room = max(self.longest // 2, self.longest + 1 - len(after))
        before = self.tokenizer.encode(context).tolist() if context else []
        before = [self.tokenizer.special.bos, *before][-room:]
        return (*before, *after), len(before)

    @torch.inference_mode()
    def after(
        self, asked: Sequence[tuple[tuple[int, ...], int]]
    ) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Log-probabilities of the next token, from the one before `first` on.

        Gives the place in `asked`, the position, and a row for it and each that
        follows. What is too long is read in windows that overlap by half.
        """
        work = []
        for k, (ids, first) in enumerate(asked):
            at = first - 1
            while at < len(ids):
                whole = len(ids) <= self.longest
                begin = 0 if whole else max(0, at + 1 - self.longest // 2)
                end = min(begin + self.longest, len(ids))
                work.append((k, at, begin, end))
                at = end
        work.sort(key=lambda one: one[3] - one[2])
        for n in range(0, len(work), 32):
            some = work[n : n + 32]
            inputs = torch.zeros(len(some), some[-1][3] - some[-1][2]).long()
            for row, (k, _, begin, end) in zip(inputs, some, strict=True):
                row[: end - begin] = torch.tensor(asked[k][0][begin:end])
            for row, (k, at, begin, end) in zip(self.model(inputs), some, strict=True):
                yield k, at, row[at - begin : end - begin].log_softmax(dim=-1)

    def bits(self, pairs: Sequence[Pair]) -> list[float]:
        """See `Reader`. Pairs that differ in their last token share a pass."""
        members: dict[tuple[tuple[int, ...], int], list[tuple[int, int]]] = {}
        for place, pair in enumerate(pairs):
            ids, first = self.cut(*pair)
            members.setdefault((ids[:-1], first), []).append((place, ids[-1]))
        asked, found = list(members), np.zeros(len(pairs))
        for k, at, log_p in self.after(asked):
            ids = asked[k][0]
            came = torch.tensor(ids[at + 1 : at + 1 + len(log_p)], dtype=torch.long)
            known = log_p[: len(came)].gather(1, came[:, None]).sum()
            for place, last in members[asked[k]]:
                found[place] -= float(known)
                if at + len(log_p) == len(ids):
                    ends = log_p[-1, self.beginning_with(last)].logsumexp(0)
                    found[place] -= float(ends)
        return (found / math.log(2)).tolist()

    def runs(self, texts: Sequence[str]) -> Row:
        """How often so many tokens in a row are the likeliest, each after the truth."""
        cuts = [self.cut("", text) for text in texts]
        right = [np.zeros(len(ids) - first, bool) for ids, first in cuts]
        for k, at, log_p in self.after([(ids[:-1], first) for ids, first in cuts]):
            ids, first = cuts[k]
            came = np.array(ids[at + 1 : at + 1 + len(log_p)])
            n = at + 1 - first
            right[k][n : n + len(came)] = log_p.argmax(dim=-1).numpy() == came
        shares = {}
        for k in RUNS:
            windows = [
                np.lib.stride_tricks.sliding_window_view(r, k).all(axis=-1)
                for r in right
                if len(r) >= k
            ]
            shares[str(k)] = float(np.concatenate(windows).mean())
        return {"in a row": shares}


# -- The models -----------------------------------------------------------------------


def trained(width: int, steps: int, seed: int) -> GPT:
    """A GPT of four layers, trained on the documentation; kept in the cache."""
    tokenizer = shipped("gpt").tokenizer
    settings = Settings(
        steps=steps,
        lr=2e-3,
        optimizer="muon",
        warmup=steps // 20,
        precision="fp32",
        seed=seed,
    )
    model, _ = pretrain(
        "causal",
        tokenizer,
        load_corpus("installed", tokenizer),
        load_corpus("installed", tokenizer, "valid"),
        Size(d_model=width),
        settings,
        batch_size=BATCH,
        evaluation_batches=20,
        folder=cache_folder() / "5.4-ladder" / f"gpt-{width}-{steps}-{seed}",
        resume=True,
        progress=False,
    )
    assert isinstance(model, GPT)
    return model


def a_ninth() -> bytes:
    """Every ninth training document, about as much as 150 steps of a GPT."""
    documents = installed_documents("train")[::9]
    return "\n\n".join(d.text for d in documents).encode()


def measure(reader: Reader) -> Row:
    """Bits of each held-out document, and which questions were answered rightly."""
    texts = [("", text) for _, text in held_out()]
    row: Row = {"bits": [round(b, 2) for b in reader.bits(texts)], "right": {}}
    for task in TASKS:
        asked = questions(task)
        found = iter(reader.bits([pair for q in asked for pair in q.options]))
        given = [int(np.argmin([next(found) for _ in q.options])) for q in asked]
        right = [q.right == g for q, g in zip(asked, given, strict=True)]
        row["right"][task] = "".join(str(int(r)) for r in right)
    if isinstance(reader, Tokens):
        row |= reader.runs([text for _, text in held_out()])
    return row


def sizes(model: GPT) -> Row:
    """Parameters, all of them and those that are no embedding."""
    n = sum(p.numel() for p in model.parameters())
    tables = model.backbone.embeddings.parameters()
    return {"parameters": n, "in layers": n - sum(p.numel() for p in tables)}


def runs() -> Runs:
    """First what was asked, then a row for each model."""

    def asked() -> Row:
        words = [most_words(q) == q.right for q in questions("names")]
        return {
            "modules": [module for module, _ in held_out()],
            "bytes": [len(text.encode()) for _, text in held_out()],
            "asked": {task: [q.module for q in questions(task)] for task in TASKS},
            "options": {task: len(questions(task)[0].options) for task in TASKS},
            "words": "".join(str(int(r)) for r in words),
        }

    def what(model: str, family: str = "", read: str = "", **more: Any) -> Row:
        row: Row = {"model": model, "family": family, "read": read}
        return {**row, "seed": None, "weights": None, **more}

    def one(reader: Callable[[], Reader]) -> Callable[[], Row]:
        return lambda: measure(reader())

    def gpt(width: int, steps: int, seed: int) -> Row:
        model = trained(width, steps, seed)
        return {
            "width": width,
            "steps": steps,
            "tokens": steps * BATCH * Size().length,
            **sizes(model),
            **measure(Tokens(model, shipped("gpt").tokenizer)),
        }

    def the_shipped() -> Row:
        kept: Any = shipped("gpt")
        tokens = kept.made["steps"] * BATCH * Size().length
        reader = Tokens(kept.model, kept.tokenizer)
        return {"tokens": tokens, **sizes(kept.model), **measure(reader)}

    yield what("the questions"), asked
    for order in (1, 2, 3, 4):
        row = what(f"KT {order}", "KT", "a ninth")
        yield row, one(lambda k=order: counting(KT(k)))
    for order in (2, 4, 6):
        row = what(f"Witten–Bell {order}", "n-gram", "a ninth")
        yield row, one(lambda k=order: counting(NGram(k)))
    yield what("Mixed", "mixer", "a ninth"), one(small_mixer)
    strong = what("strong", "mixer", "a ninth")
    yield strong, one(lambda: Compressor(Strong(LONGEST, a_ninth())))
    # In the place of the largest, 128 × 960, stands the shipped one, 128 × 2400.
    sizes_of = [(w, n, 0) for n in STEPS for w in WIDTHS][:-1]
    short = [(w, n) for w, n, _ in sizes_of if n < STEPS[-1]]
    sizes_of += [(w, n, seed) for seed in SEEDS[1:] for w, n in short]
    for width, steps, seed in sizes_of:
        row = what(f"GPT {width} × {steps}", "GPT", seed=seed)
        yield row, lambda w=width, n=steps, s=seed: gpt(w, n, s)
    yield what("GPT shipped", "GPT", weights=shipped_weights("gpt")), the_shipped


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(__file__, runs())
