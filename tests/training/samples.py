"""Small corpora, tokenizers and tasks for the recipes."""

import numpy as np

from lmlib.data.documents import Document
from lmlib.data.load import encode_documents
from lmlib.data.tokenizers import ByteTokenizer
from lmlib.training.pretrain import Size
from lmlib.training.tasks import Example

TOKENIZER = ByteTokenizer()
SIZE = Size(d_model=16, n_layers=2, n_heads=4, length=24)
NOUNS = ("cat", "dog", "sun", "sea")
VERBS = ("eats", "sees", "likes")


def documents(n, seed):
    rng = np.random.default_rng(seed)

    def sentence():
        a, b = rng.choice(NOUNS, 2)
        return f"The {a} {rng.choice(VERBS)} a {b}."

    return [
        Document(" ".join(sentence() for _ in range(rng.integers(3, 7))))
        for _ in range(n)
    ]


def corpus(n=30, seed=0):
    return encode_documents(documents(n, seed), TOKENIZER)


def sentences(n, seed=0):
    """Sentences of two words; label 1 if the first is "good"."""
    rng = np.random.default_rng(seed)
    return [
        Example(f"{('bad', 'good')[label]} {rng.choice(NOUNS)} {i}", int(label))
        for i, label in enumerate(rng.integers(2, size=n))
    ]
