"""A causal transformer as a predictor of bytes (section 5.2).

A model over tokens says which token comes next; a coder that mixes it with others wants
the next byte. The probability of a byte is the sum over all tokens that go on with it;
and where the bytes so far are a token themselves, the text may also go on behind it,
so that several ways to cut the bytes into tokens are followed, each as far as it is
likely. One byte after another, on one thread, in float32: what is computed must be the
same to the last digit for sender and receiver. On another processor, or with another
version of torch, it need not be; `Transformer.probe` tells.
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy import ndarray

from lmlib.compression.coder import frequencies
from lmlib.compression.mixing import Mixed, Mixture
from lmlib.compression.predictors import Bits, Predictor
from lmlib.data.tokenizers import Tokenizer, token_bytes
from lmlib.models.gpt import GPT
from lmlib.shipped import FOLDER
from lmlib.training.saved import load as load_saved
from lmlib.transformer import Cache

#: A way to cut is followed if it has this share of the probability, and of these so
#: many. Each token that is followed costs a pass of the model.
LIKELY, WAYS = 0.01, 4


class Transformer:
    """A decoder that reads tokens one by one, and the bytes of its tokens.

    Parameters:
        keep: when the model's positions are used up, so many tokens are read anew.
            Rotary positions have no end: then it is after 1024.

    Raises:
        ValueError: the tokens are not made of bytes.
    """

    def __init__(self, model: GPT, tokenizer: Tokenizer, keep: int = 64) -> None:
        self.model = model.cpu().float().eval()
        self.tokenizer = tokenizer
        self.longest = model.config.longest or 1024
        self.keep = min(keep, self.longest - 1)
        known = sorted((text, i) for i, text in token_bytes(tokenizer).items())
        self.texts = [text for text, _ in known]
        self.order = np.array([i for _, i in known])
        self._bounds: dict[bytes, ndarray] = {}

    def bounds(self, start: bytes) -> Int64[ndarray, "257"]:
        """Where, of the tokens in order, those begin that go on with byte 0, 1 … 256.

        All that begin with `start` stand together; before them `start` itself.
        """
        if start not in self._bounds:
            found = [bisect_left(self.texts, start + bytes((b,))) for b in range(256)]
            end = bisect_right(self.texts, start, key=lambda t: t[: len(start)])
            self._bounds[start] = np.array([*found, end])
        return self._bounds[start]

    def read(
        self, tokens: list[int], cache: Cache
    ) -> Float64[ndarray, "tokens_of_bytes_and_1"]:
        """The probabilities of the tokens in order, summed up from 0."""
        with one_thread(), torch.inference_mode():
            logits = self.model(torch.tensor([tokens]), cache=cache, last_only=True)
            p = logits[0, -1].double()[self.order].softmax(dim=-1).numpy()
        return np.concatenate(([0.0], p.cumsum()))

    @property
    def identity(self) -> bytes:
        """What tells this model, with its tokenizer, from every other one."""
        hashed = hashlib.sha256(self.tokenizer.digest.encode())
        hashed.update(repr((self.model.config, self.keep)).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            hashed.update(name.encode() + tensor.contiguous().numpy().tobytes())
        return hashed.digest()

    def probe(self) -> bytes:
        """What this machine computes for some tokens, to the last digit."""
        cache, hashed = Cache(), hashlib.sha256()
        n = min(self.longest, 128)  # a second or two; a large model's window, minutes
        some = [int(self.order[37 * i % len(self.order)]) for i in range(n)]
        for token in some:
            hashed.update(self.read([token], cache).tobytes())
        hashed.update(self.read(some[: self.keep], Cache()).tobytes())
        return hashed.digest()


class Way(NamedTuple):
    """One way to cut what was read into tokens, and the bytes since the last one.

    Attributes:
        weight: its probability, beside that of the others.
        tokens: the last that were read, as many as are read anew at times.
        sums: what `Transformer.read` gave after them.
        rest: the bytes of a token that is not complete.
    """

    weight: float
    tokens: list[int]
    cache: Cache
    sums: Float64[ndarray, "n"]
    rest: bytes = b""


class NextByte:
    """A `BytePredictor`: what a transformer says of the next byte."""

    def __init__(self, transformer: Transformer) -> None:
        self._transformer = transformer
        begin, cache = [transformer.tokenizer.special.bos], Cache()
        self._ways = [Way(1.0, begin, cache, transformer.read(begin, cache))]

    def frequencies(self) -> Int64[ndarray, "256"]:
        """See `BytePredictor`."""
        p = np.zeros(256)
        for way in self._ways:
            p += way.weight * np.diff(way.sums[self._transformer.bounds(way.rest)])
        return frequencies(p / p.sum())

    def update(self, byte: int) -> None:
        """See `BytePredictor`."""
        texts, order = self._transformer.texts, self._transformer.order
        # Each way goes on inside of a token, or its token ends here: its probability,
        # the way, and the token.
        further: list[tuple[float, Way, int | None]] = []
        for way in self._ways:
            low, high = self._transformer.bounds(way.rest)[byte : byte + 2].tolist()
            going = way._replace(rest=way.rest + bytes((byte,)))
            if low < high and texts[low] == going.rest:
                p = way.weight * float(way.sums[low + 1] - way.sums[low])
                further.append((p, going, int(order[low])))
                low += 1
            p = way.weight * float(way.sums[high] - way.sums[low])
            further.append((p, going, None))
        total = sum(p for p, _, _ in further)
        if not total:  # in the best way known, no token goes on like this
            best = max(self._ways, key=lambda way: way.weight)
            self._ways = [self._spelled(best, best.rest + bytes((byte,)))]
            return
        further.sort(key=lambda one: -one[0])
        likely = [one for one in further[:WAYS] if one[0] >= LIKELY * total]
        self._ways = [
            way._replace(weight=way.weight / total)
            if token is None
            else self._behind(way, token, p / total)
            for p, way, token in likely
        ]

    def renew(self) -> None:
        """Read the last tokens anew: the model has changed."""
        for i, way in enumerate(self._ways):
            cache = Cache()
            sums = self._transformer.read(way.tokens, cache)
            self._ways[i] = way._replace(cache=cache, sums=sums)

    def _behind(self, way: Way, token: int, weight: float) -> Way:
        """The way on behind a token."""
        keep, longest = self._transformer.keep, self._transformer.longest
        tokens = [*way.tokens, token][-keep:]
        if way.cache.length < longest:
            cache = way.cache.fork()
            sums = self._transformer.read([token], cache)
        else:
            cache = Cache()
            sums = self._transformer.read(tokens, cache)
        return Way(weight, tokens, cache, sums)

    def _spelled(self, way: Way, rest: bytes) -> Way:
        """The way on behind bytes that are a token each.

        One that is no token is passed over. SmolLM2's vocabulary lacks 21 bytes, most
        of which no UTF-8 has; they cost 24 bits, and the model never hears of them.
        """
        texts = self._transformer.texts
        way = way._replace(weight=1.0, rest=b"")
        for byte in rest:
            at = bisect_left(texts, bytes((byte,)))
            if texts[at : at + 1] == [bytes((byte,))]:
                way = self._behind(way, int(self._transformer.order[at]), 1.0)
        return way


def load(folder: Path | None) -> Transformer:
    """The transformer in a folder; by default the GPT that comes with lmlib.

    Raises:
        FileNotFoundError, ValueError: as `lmlib.training.saved.load`; or it is no
            decoder.
    """
    saved = load_saved(FOLDER / "gpt" if folder is None else folder)
    if not isinstance(saved.model, GPT):
        raise ValueError("model must be a decoder: others give no code length")
    return Transformer(saved.model, saved.tokenizer)


def beside_mixed(transformer: Transformer) -> Predictor:
    """The transformer, mixed with the small context mixer."""
    return Mixture([Bits(NextByte(transformer)), Mixed()])


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums are taken in an order that the number of threads decides."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
