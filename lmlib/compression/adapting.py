"""A transformer that learns while it codes (section 5.2).

It begins with random weights that a seed gives to sender and receiver, predicts some
bytes, then makes a training step on what both have by now, and so on. Nothing is sent
but the program and the seed: the length of the file is the area under the loss curve
of a first and only reading, a prequential code.
"""

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray

from lmlib.compression.neural import NextByte, Transformer, one_thread
from lmlib.data.tokenizers import ByteTokenizer
from lmlib.losses import cross_entropy
from lmlib.models.gpt import GPT
from lmlib.training.optimizers import make_optimizers
from lmlib.transformer import TransformerConfig

#: Small enough for a step each 128 bytes.
SMALL = TransformerConfig(
    vocab_size=ByteTokenizer.size,
    d_model=64,
    n_layers=3,
    n_heads=4,
    max_len=256,
    causal=True,
    positions="rotary",
    norm_first=True,
    embedding_norm=False,
    dropout=0.0,
    attention_dropout=0.0,
)


class Adapting:
    """A `BytePredictor`: a GPT over bytes, trained on what it has coded.

    Parameters:
        config: of the model; without dropout.
        seed: of its first weights and of the rows that are drawn.
        every: bytes between training steps.
        batch: rows of a step; one is the newest, the others are drawn from all there
            is.
        length: bytes of a row.
        lr: AdamW's rate; Muon, which moves the hidden matrices, has eight times it.
    """

    def __init__(
        self,
        config: TransformerConfig = SMALL,
        seed: int = 0,
        *,
        every: int = 128,
        batch: int = 12,
        length: int = 160,
        lr: float = 2.5e-3,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = GPT(config)
        self._transformer = Transformer(model, ByteTokenizer(), keep=length // 2)
        self._inner = NextByte(self._transformer)
        self._optimizers = make_optimizers(
            model,
            lr=lr,
            betas=(0.9, 0.98),
            eps=1e-8,
            weight_decay=0.0,
            muon=True,
            muon_lr=8 * lr,
        )
        self._every, self._batch, self._length = every, batch, length
        self._dice = torch.Generator().manual_seed(seed)
        self._text = bytearray()

    def frequencies(self) -> Int64[ndarray, "256"]:
        """See `BytePredictor`."""
        return self._inner.frequencies()

    def update(self, byte: int) -> None:
        """See `BytePredictor`."""
        self._inner.update(byte)
        self._text.append(byte)
        if len(self._text) % self._every == 0 and len(self._text) > self._length:
            self._learn()
            self._inner.renew()

    def _learn(self) -> None:
        """One step on the newest row and on others."""
        newest = len(self._text) - self._length - 1
        starts = torch.randint(newest + 1, (self._batch,), generator=self._dice)
        starts[0] = newest
        places = starts[:, None] + torch.arange(self._length + 1)
        text = torch.from_numpy(np.frombuffer(bytes(self._text), np.uint8).copy())
        rows = text[places].long()
        with one_thread():
            logits = self._transformer.model(rows[:, :-1])
            cross_entropy(logits, rows[:, 1:]).backward()
            for optimizer in self._optimizers:
                optimizer.step()
                optimizer.zero_grad()
