"""2.1: what frozen models know of a label, by the number of labels. It downloads
polarity once."""

from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
from experiment import SEEDS, Row, Runs, main, shipped_weights
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from lmlib.data.documents import Labelled
from lmlib.data.installed import installed_packages
from lmlib.data.public import sentence_polarity
from lmlib.models.bert import Bert
from lmlib.shipped import shipped
from lmlib.training.probe import features, linear_probe
from lmlib.training.seeds import seed_everything

LABELS = (25, 100, 400, 1600)
N_TEST = 1000
LENGTH = 64
STARTS = ("shipped BERT", "shipped GPT", "random network", "word counts")
TASKS: Any = {"packages": installed_packages, "polarity": sentence_polarity}


@cache
def parts(task: str) -> tuple[Labelled, Labelled]:
    """To learn from, and to be tested with."""
    return TASKS[task]("train"), TASKS[task]("test")


def words_of(texts: list[str]) -> list[str]:
    """The part of each text that the models read, for the words to have no more."""
    tokenizer = shipped("bert").tokenizer
    return [tokenizer.decode(tokenizer.encode(t)[: LENGTH - 2]) for t in texts]


def accuracies(start: str, task: str, seed: int) -> Row:
    """By the number of labels; the three samples have no text in common."""
    train, test = parts(task)
    order = np.random.default_rng(0).permutation(len(train.texts))
    order = order[seed * max(LABELS) :][: max(LABELS)]
    tested = np.random.default_rng(0).permutation(len(test.texts))[:N_TEST]
    learn, wanted = [train.texts[i] for i in order], train.labels[order]
    asked, truth = [test.texts[i] for i in tested], test.labels[tested]
    if start == "word counts":
        learn, asked = words_of(learn), words_of(asked)
    else:
        kept = shipped("gpt" if start == "shipped GPT" else "bert")
        model: Any = kept.model
        if start == "random network":
            seed_everything(seed)
            model = Bert(deepcopy(model.config)).eval()
        x, of_asked = (
            features(model, kept.tokenizer, texts, length=LENGTH)
            for texts in (learn, asked)
        )
    accuracy = []
    for n in LABELS:
        if start == "word counts":
            count = CountVectorizer(token_pattern=r"\w+").fit(learn[:n])
            bayes = MultinomialNB().fit(count.transform(learn[:n]), wanted[:n])
            said = bayes.predict(count.transform(asked))
        else:
            said = linear_probe(x[:n], wanted[:n])(of_asked)
        accuracy.append(float((said == truth).mean()))
    return {
        "labels": list(LABELS),
        "accuracy": accuracy,
        "n_test": len(truth),
        "largest_class": float(np.bincount(truth).max() / len(truth)),
    }


def runs() -> Runs:
    """Accuracy on the test set, for each of three disjoint samples of labels."""
    weights = "+".join(shipped_weights(name)[:16] for name in ("bert", "gpt"))
    for seed in SEEDS:
        for task in TASKS:
            for start in STARTS:
                what = {"task": task, "start": start, "seed": seed}
                yield (
                    {**what, "weights": weights},
                    lambda what=what: accuracies(**what),
                )


if __name__ == "__main__":
    main(__file__, runs())
