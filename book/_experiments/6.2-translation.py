"""6.2: a small T5 on the toy language pair: what it writes for the sentences of three
splits, where its cross-attention looks, and what wider beams find.
"""

from collections.abc import Sequence
from typing import Any

import torch
from experiment import SEEDS, Row, Runs, main
from sacrebleu.metrics import CHRF
from torch import Tensor

from lmlib.alignment import alignment_error
from lmlib.data.toy_translation import PEOPLE, THINGS, Pair, nouns, sentences
from lmlib.losses import IGNORE
from lmlib.models.generate import generate
from lmlib.models.search import beam_search
from lmlib.models.t5 import T5, t5_config
from lmlib.objectives.mlm import masked_lm_loss
from lmlib.objectives.objective import Batch, n_targets
from lmlib.objectives.sequences import shuffled_rows
from lmlib.training.loop import train
from lmlib.training.settings import Settings

PAD, END = 0, 1  # the decoder starts with PAD, as T5 does
TRAINING, TESTED, LONGEST = (2_000, 20_000), 200, 60
STEPS, BATCH = 1_500, 64
SPLITS = ("test", "combinations", "longer")
WIDTHS, SEARCHED = (1, 2, 4, 8, 32), 60
SHOWN = 21  # of the test sentences: its attention is drawn
MEASURES = {*THINGS, *PEOPLE}
NOUNS = {noun.chinese for noun in (*nouns(THINGS), *nouns(PEOPLE))}


class Translation:
    """Part "translation": the Chinese words, and the end, after the English ones."""

    def __init__(self, n: int, seed: int) -> None:
        pairs = sentences(TRAINING[-1], "train", seed)
        self.pairs, self.seed = pairs[:n], seed
        # All have the words of the largest.
        words = {w for pair in pairs for w in (*pair.english, *pair.chinese)}
        self.words = ["<pad>", "<end>", *sorted(words)]
        self.ids = {word: i for i, word in enumerate(self.words)}

    def padded(self, rows: Sequence[Sequence[str]], fill: int = PAD) -> Tensor:
        """The words' ids and END, [rows, longest]."""
        ids = [torch.tensor([*(self.ids[w] for w in row), END]) for row in rows]
        return torch.nn.utils.rnn.pad_sequence(
            ids, batch_first=True, padding_value=fill
        )

    def of(self, pairs: Sequence[Pair]) -> Batch:
        token_ids = self.padded([pair.english for pair in pairs])
        targets = self.padded([pair.chinese for pair in pairs], IGNORE)
        before = torch.full_like(targets, PAD)
        before[:, 1:] = targets[:, :-1].clamp(min=PAD)
        return {
            "token_ids": token_ids,
            "attention_mask": token_ids != PAD,
            "decoder_ids": before,
            "targets": targets,
        }

    def batch(self, step: int) -> Batch:
        rows = shuffled_rows(step, BATCH, len(self.pairs), self.seed)
        return self.of([self.pairs[i] for i in rows.tolist()])

    def counts(self, batch: Batch) -> dict[str, int]:
        return {"translation": n_targets(batch["targets"])}

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        mask = batch["attention_mask"]
        memory = model.encode(batch["token_ids"], mask)
        hidden = model.decode(batch["decoder_ids"], memory, mask)
        loss = masked_lm_loss(model.heads["lm"], hidden, batch["targets"])
        return {"translation": loss}

    def words_of(self, ids: Tensor) -> list[str]:
        """The words before the end, without what the decoder started with."""
        found = []
        for i in ids[1:].tolist():
            if i == END:
                break
            found.append(self.words[i])
        return found


@torch.no_grad()
def translated(model: T5, task: Translation, pairs: Sequence[Pair]) -> list[str]:
    """What greedy decoding writes."""
    found = []
    for i in range(0, len(pairs), 100):
        ids = task.padded([pair.english for pair in pairs[i : i + 100]])
        found += [
            "".join(task.words_of(row))
            for row in generate(
                model, ids, LONGEST, attention_mask=ids != PAD, eos_id=END
            )
        ]
    return found


@torch.no_grad()
def attention(model: T5, task: Translation, pair: Pair) -> dict[str, Tensor]:
    """The cross-attention of each head, and means of them, [steps, English words].

    Step j predicts the Chinese word j and reads the word j − 1.
    """
    batch = task.of([pair])
    mask = batch["attention_mask"]
    memory = model.encode(batch["token_ids"], mask)
    output = model.backbone(
        batch["decoder_ids"], memory=memory, memory_mask=mask, return_all=True
    )
    # [layer, head, step, English words]; the end of the English is no word.
    weights = torch.cat(output.cross_attentions)[..., : len(pair.english)]
    heads = {
        f"layer {i + 1}, head {j + 1}": head
        for i, layer in enumerate(weights)
        for j, head in enumerate(layer)
    }
    means = {f"mean of layer {i + 1}": w.mean(dim=0) for i, w in enumerate(weights)}
    return heads | means | {"mean of all": weights.mean(dim=(0, 1))}


def looks(model: T5, task: Translation, pairs: Sequence[Pair]) -> list[Row]:
    """How often what a head has most of is wrong, and what that is at measure words.

    In two readings: at the step that writes a Chinese word, and at the one that reads
    it.
    """
    places: dict[tuple[str, str], list[list[int]]] = {}
    for pair in pairs:
        for head, weights in attention(model, task, pair).items():
            most = weights.argmax(dim=1).tolist()
            places.setdefault((head, "writing"), []).append(most[:-1])
            places.setdefault((head, "reading"), []).append(most[1:])
    return [
        {
            "head": head,
            "at": at,
            "error": round(alignment_error(pairs, chosen), 4),
            **at_measure_words(pairs, chosen),
        }
        for (head, at), chosen in places.items()
    ]


def at_measure_words(pairs: Sequence[Pair], places: Sequence[Sequence[int]]) -> Row:
    """The share of measure words at which the place is that of the noun, or that of
    the number (or a, this) before."""
    n = noun = number = 0
    for pair, chosen in zip(pairs, places, strict=True):
        sources = {j: i for i, j in pair.links}
        for j, word in enumerate(pair.chinese):
            if word in MEASURES and j not in sources:
                n += 1
                after = (k for k in range(j, len(pair.chinese)) if k in sources)
                of = next(k for k in after if pair.chinese[k] in NOUNS)
                noun += chosen[j] == sources[of]
                number += chosen[j] == sources[j - 1]
    return {"noun": round(noun / n, 4), "number": round(number / n, 4)}


def searched(model: T5, task: Translation, pairs: Sequence[Pair]) -> list[Row]:
    """For each width what was found, beside the reference."""
    references = ["".join(pair.chinese) for pair in pairs]
    rows: list[Row] = []
    for width in WIDTHS:
        texts, log_ps, words = [], [], 0
        for pair in pairs:
            ids = task.padded([pair.english])[0]
            (best, *_), scores = beam_search(
                model, ids, LONGEST, width=width, eos_id=END
            )
            found = task.words_of(best)
            words += len(found)
            texts.append("".join(found))
            log_ps.append(float(scores[0]))
        rows.append(
            {
                "width": width,
                "log p": round(sum(log_ps) / len(pairs), 4),
                "words": words,
                "words of the references": sum(len(pair.chinese) for pair in pairs),
                "chrF": round(CHRF().corpus_score(texts, [references]).score, 2),
                "exact": sum(map(str.__eq__, texts, references)),
            }
        )
    return rows


def translate(n: int, seed: int) -> Row:
    task = Translation(n, seed)
    torch.manual_seed(seed)
    config = t5_config(64, 256, 2, 4, d_head=16, vocab_size=len(task.words), dropout=0)
    model = T5(config)
    settings = Settings(
        steps=STEPS, lr=3e-3, warmup=100, decay="cosine", precision="fp32", seed=seed
    )
    run = train(model, task, settings, progress=False)
    model.eval()
    tests = {split: sentences(TESTED, split, 1000) for split in SPLITS}
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss": [round(loss, 4) for loss in run.losses("translation")[49::50]],
        "wrong": {
            split: {
                number: text
                for number, text in enumerate(translated(model, task, pairs))
                if text != "".join(pairs[number].chinese)
            }
            for split, pairs in tests.items()
        },
        "looks": looks(model, task, tests["test"]),
        "weights": {
            head: [[round(w, 3) for w in row] for row in weights.tolist()]
            for head, weights in attention(model, task, tests["test"][SHOWN]).items()
        },
        "beams": {
            split: searched(model, task, tests[split][:SEARCHED])
            for split in ("test", "longer")
        },
    }


def runs() -> Runs:
    for n in reversed(TRAINING):
        for seed in SEEDS:
            what = {"sentences": n, "seed": seed}
            yield what, lambda n=n, seed=seed: translate(n, seed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(__file__, runs())
