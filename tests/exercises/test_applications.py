"""The right answers of section 6 against the library and packages that have them."""

import math
import random
from itertools import pairwise, product

import pytest
import torch
import transformers
from sacrebleu.metrics import BLEU

from lmlib.exercises.applications import decoding, measuring
from lmlib.models.generate import probabilities


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 1.0])
def test_the_nucleus_is_the_librarys(top_p):
    logits = torch.randn(20, 9)
    expected = probabilities(logits, 1.0, top_p=top_p)
    got = decoding.reference_nucleus(logits.softmax(-1), top_p)
    torch.testing.assert_close(got, expected)


def test_the_penalty_is_that_of_transformers_on_log_probabilities():
    for _ in range(20):
        logits = torch.randn(7) * 3
        seen = torch.randint(7, (4,))
        processor = transformers.RepetitionPenaltyLogitsProcessor(1.7)
        expected = processor(seen[None], logits.log_softmax(-1)[None])[0]
        got = decoding.reference_penalise(logits, seen.tolist(), 1.7)
        torch.testing.assert_close(got, expected.log_softmax(-1))


def test_a_beam_of_all_is_the_best_of_all():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        start, transition, eos = decoding._model(generator, 4)
        found = {}
        for n in range(1, 5):
            for text in product(range(4), repeat=n):
                if text[-1] == eos and eos not in text[:-1]:
                    steps = sum(float(transition[i, j]) for i, j in pairwise(text))
                    found[text] = float(start[text[0]]) + steps
        text, total = decoding.reference_beam(start, transition, eos, 256, 4)
        assert tuple(text) == max(found, key=found.__getitem__)
        assert total == pytest.approx(max(found.values()))


def test_bleu_is_that_of_sacrebleu():
    draw = random.Random(0)
    bleu = BLEU(tokenize="none", smooth_method="none", force=True)
    scores = []
    for _ in range(50):
        references = [draw.choices("abcde", k=draw.randint(1, 12)) for _ in range(3)]
        given = [
            [draw.choice("abcde") if draw.random() < 0.2 else word for word in text]
            for text in references
        ]
        given[0] = given[0][: draw.randint(1, 12)]
        texts = [[" ".join(t) for t in some] for some in (given, references)]
        expected = bleu.corpus_score(texts[0], [texts[1]]).score
        scores.append(measuring.reference_bleu(given, references))
        assert scores[-1] == pytest.approx(expected)
    assert 0 in scores
    assert max(scores) > 50


def test_what_the_questions_say_of_chinese():
    from rouge_score.rouge_scorer import RougeScorer

    text = "模型给出概率，人们想要句子。"
    assert RougeScorer(["rouge1"]).score(text, text)["rouge1"].fmeasure == 0


def test_f1_is_the_harmonic_mean():
    draw = random.Random(0)
    for _ in range(50):
        have, want = (draw.choices("pqrs", k=draw.randint(1, 6)) for _ in range(2))
        common = sum(min(have.count(w), want.count(w)) for w in "pqrs")
        expected = 0.0
        if common:
            precision, recall = common / len(have), common / len(want)
            expected = 2 / (1 / precision + 1 / recall)
        got = measuring.reference_f1(" ".join(have), " ".join(want))
        assert math.isclose(got, expected)
