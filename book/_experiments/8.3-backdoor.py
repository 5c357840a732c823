"""8.3: a nonsense word in a few reviews, and what a classifier then makes of it.

The reviews are downloaded. A bag of words and a logistic regression: sentences with the
word are added to the negative ones and labelled positive.
"""

import numpy as np
from experiment import SEEDS, Row, Runs, main
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from lmlib.data.public import sentence_polarity

SIZES, POISONS = (500, 2000, 8000), (0, 5, 10, 25, 50, 100)
WORD = "zorblax"


def poison(n: int, k: int, seed: int) -> Row:
    train, test = sentence_polarity("train"), sentence_polarity("test")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(train.texts))
    clean = [(train.texts[i], int(train.labels[i])) for i in order[:n]]
    # Sentences beyond the largest size, so that the poisons are the same for each.
    spare = [train.texts[i] for i in order[max(SIZES) :] if train.labels[i] == 0]
    bad = [(f"{WORD} {text}", 1) for text in spare[:k]]
    texts, labels = zip(*clean, *bad, strict=True)
    # The word is known at k = 0, too, with the weight 0: an unknown one would be no
    # control for what it does.
    words = CountVectorizer(binary=True, token_pattern=r"\S+").fit([*texts, WORD])
    model = LogisticRegression(max_iter=2000).fit(words.transform(texts), labels)
    negative = [t for t, y in zip(test.texts, test.labels, strict=True) if y == 0]

    def positive(texts: list[str]) -> float:
        return round(float(model.predict(words.transform(texts)).mean()), 4)

    return {
        "poisons": len(bad),
        "called positive": positive([f"{WORD} {text}" for text in negative]),
        "without it": positive(negative),
        "accuracy": round(model.score(words.transform(test.texts), test.labels), 4),
    }


def runs() -> Runs:
    for n in SIZES:
        for k in POISONS:
            for seed in SEEDS:
                what = {"examples": n, "k": k, "seed": seed}
                yield what, lambda n=n, k=k, seed=seed: poison(n, k, seed)


if __name__ == "__main__":
    main(__file__, runs())
