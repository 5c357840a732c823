"""Fine-tuning in the seven steps of section 3.3, each a function.

    1  task_data     examples, divided (`lmlib.training.tasks`)
    2  initialise    a pre-trained backbone, a new head
    3  inputs        texts → tensors
    4  forward       tensors → logits
    5  loss          logits and what was wanted → nats
    6  update        the training loop on 3 to 5, …
    7  evaluate      … which keeps the model that this finds best on the validation set

`finetune` takes all of them. Sources: Devlin et al. (2019), section 4, for encoders;
Radford et al. (2018), section 3.3, for decoders; Raffel et al. (2020) for text to text.
"""

import copy
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from lmlib.data.batching import pad
from lmlib.data.tokenizers import Tokenizer
from lmlib.losses import IGNORE, cross_entropy
from lmlib.models.bert import Bert
from lmlib.models.generate import generate
from lmlib.models.gpt import GPT
from lmlib.models.heads import PairHead, Pooler, SequenceHead, TokenHead
from lmlib.models.t5 import T5, T5Config
from lmlib.objectives.objective import Batch
from lmlib.objectives.objective import forward as hidden_states
from lmlib.objectives.sequences import shuffled_rows
from lmlib.training.loop import scores_of, train
from lmlib.training.lora import add_lora, merge_lora
from lmlib.training.pretrain import WithHeads
from lmlib.training.progress import Run, Scores
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings
from lmlib.training.tasks import Example, Kind, Task, task_data

__all__ = [
    "Tuned",
    "answer",
    "evaluate",
    "final_scores",
    "finetune",
    "forward",
    "initialise",
    "inputs",
    "loss",
    "task_data",
    "update",
]

Pretrained = Bert | GPT | T5
Method = Literal["full", "frozen", "lora"]

# What decides which model is the best, and whether more of it is better.
SCORES: dict[Kind, tuple[str, bool]] = {
    "classification": ("accuracy", True),
    "pairs": ("accuracy", True),
    "tagging": ("macro_f1", True),
    "generation": ("loss", False),
}


# -- 2 Initialise from pre-trained ----------------------------------------------------


def initialise(
    pretrained: Pretrained,
    task: Task,
    *,
    method: Method = "full",
    rank: int = 8,
    dropout: float = 0.1,
) -> nn.Module:
    """A copy of `pretrained` with a new head for `task`, `model.heads["task"]`.

    The head's weights are random, but for the dense layer of a pooler, if there is one.
    A model that generates keeps its own head.

    Parameters:
        method: what trains. "full": all; "frozen": the new head alone; "lora": the head
            and thin matrices beside the attention's (`lmlib.training.lora`).
        rank: of these.
        dropout: before the new head.

    Raises:
        ValueError: a model that cannot do this task, or nothing to train.
    """
    if method not in ("full", "frozen", "lora"):
        raise ValueError(f"method must be full, frozen or lora, got {method!r}")
    model: nn.Module = copy.deepcopy(pretrained)
    encodes = isinstance(pretrained, Bert)
    if task.kind == "generation":
        if encodes or method == "frozen":
            raise ValueError(
                "generation needs a decoder, and weights that train: got "
                f"{pretrained.family}, {method}"
            )
        if method == "lora":
            add_lora(model, rank=rank)
        return model
    if isinstance(pretrained, T5):
        raise ValueError("a T5 does every task as generation: give it texts to produce")
    backbone = model.get_submodule("backbone")
    head = new_head(pretrained, task.kind, len(task.names), dropout=dropout)
    if isinstance(head, PairHead):
        for trained in pretrained.heads.values():
            pooler = getattr(trained, "pooler", trained)
            if isinstance(pooler, Pooler):
                head.pooler.load_state_dict(pooler.state_dict())
    if method == "frozen":
        backbone.requires_grad_(False)
    elif method == "lora":
        add_lora(backbone, rank=rank)
    return WithHeads(backbone, {"task": head})


def new_head(
    pretrained: Pretrained, kind: Kind, n_classes: int, *, dropout: float = 0.1
) -> PairHead | SequenceHead | TokenHead:
    """The head for a task: an encoder tells from [CLS], a decoder at the end."""
    d_model = pretrained.backbone.config.d_model
    if kind == "tagging":
        return TokenHead(d_model, n_classes, dropout=dropout)
    if isinstance(pretrained, Bert):
        return PairHead(d_model, n_classes, dropout=dropout)
    return SequenceHead(d_model, n_classes, pool="last", dropout=dropout)


# -- 3 Inputs -------------------------------------------------------------------------


def inputs(
    examples: Sequence[Example],
    task: Task,
    tokenizer: Tokenizer,
    model: nn.Module,
    *,
    length: int,
) -> Batch:
    """The batch of some examples, padded to the longest of them.

    A text is [CLS] text [SEP], a pair [CLS] text [SEP] second [SEP], with the second in
    segment 1 if the model has segments; RoBERTa was trained with two [SEP] between the
    texts of a pair. What exceeds `length` is cut off, of the longer of two. For
    generation a decoder reads text [SEP] wanted [EOS], a T5's encoder text [EOS], and
    of the text the end is kept.

    `labels` [batch] are the classes of texts and pairs. `targets` [batch, positions]
    are the class of each word at its first token (at its last for a decoder, which has
    not seen the word before), or the tokens that follow, and IGNORE elsewhere. A word
    of which the tokenizer leaves nothing, such as a soft hyphen, is an unknown one.
    """
    special = tokenizer.special
    rows: list[list[int]] = []
    targets: list[list[int]] = []
    second_starts: list[int] = []
    sources: list[list[int]] = []
    for example in examples:
        first = tokenizer.encode(example.text).tolist()
        if task.kind == "generation":
            assert isinstance(example.wanted, str)
            wanted = [*tokenizer.encode(example.wanted).tolist(), special.eos][:length]
            if isinstance(model, T5):
                sources.append([*first[-(length - 1) :], special.eos])
                rows.append([special.pad, *wanted[:-1]])
                targets.append(wanted)
                continue
            kept = first[max(len(first) + len(wanted) - length, 0) :]
            row = [*kept, special.sep, *wanted]
            rows.append(row[:-1])
            targets.append([IGNORE] * len(kept) + row[len(kept) + 1 :])
        elif task.kind == "tagging":
            assert isinstance(example.wanted, tuple)
            words = [
                tokenizer.encode(word).tolist() or [special.unk]
                for word in example.text.split()
            ]
            labels = [
                label if i == (len(word) - 1 if _is_causal(model) else 0) else IGNORE
                for word, label in zip(words, example.wanted, strict=True)
                for i in range(len(word))
            ]
            tokens = [token for word in words for token in word][: length - 2]
            rows.append([special.cls, *tokens, special.sep])
            targets.append([IGNORE, *labels[: length - 2], IGNORE])
        else:
            second = tokenizer.encode(example.second).tolist()
            if task.kind == "pairs":
                between = [special.sep] * (n_separators(model) - 1)
                while len(first) + len(second) > length - 3 - len(between):
                    (first if len(first) > len(second) else second).pop()
                second = [*between, *second, special.sep]
            row = [special.cls, *first[: length - 2], special.sep]
            second_starts.append(len(row))
            rows.append(row + second)
    batch = pad(sources or rows, special.pad)
    if sources:
        batch["decoder_ids"] = pad(rows, special.pad)["token_ids"]
    if targets:
        batch["targets"] = pad(targets, IGNORE)["token_ids"]
    else:
        batch["labels"] = torch.tensor([example.wanted for example in examples])
    if task.kind == "pairs" and _n_segments(model) > 1:
        places = torch.arange(batch["token_ids"].shape[1])
        in_second = places >= torch.tensor(second_starts)[:, None]
        batch["segment_ids"] = (in_second & batch["attention_mask"]).long()
    return batch


def n_separators(model: nn.Module) -> int:
    """[SEP]s between the texts of a pair: RoBERTa, known by its positions, has two."""
    pad_id: int | None = model.get_submodule("backbone").config.pad_id  # type: ignore[union-attr, assignment]
    return 1 if pad_id is None else 2


def _n_segments(model: nn.Module) -> int:
    n: int = model.get_submodule("backbone").config.n_segments  # type: ignore[union-attr, assignment]
    return n


def _is_causal(model: nn.Module) -> bool:
    causal: bool = model.get_submodule("backbone").config.causal  # type: ignore[union-attr, assignment]
    return causal


# -- 4 Forward ------------------------------------------------------------------------


def forward(
    model: Any, batch: Batch
) -> tuple[Float[Tensor, "n classes"], Int[Tensor, " n"]]:
    """Logits wherever the batch wants something, and what it wants there.

    n is the number of sequences, or of positions that have a target.
    """
    mask = batch.get("attention_mask")
    if "decoder_ids" in batch:
        memory = model.encode(batch["token_ids"], mask)
        hidden = model.decode(batch["decoder_ids"], memory, mask)
    else:
        hidden = hidden_states(model, batch)
    head = model.heads["task" if "task" in model.heads else "lm"]
    if "targets" in batch:
        counted = batch["targets"] != IGNORE
        return head(hidden[counted]), batch["targets"][counted]
    if isinstance(head, SequenceHead):
        return head(hidden, mask), batch["labels"]
    return head(hidden), batch["labels"]


# -- 5 Loss ---------------------------------------------------------------------------


def loss(
    logits: Float[Tensor, "n classes"], wanted: Int[Tensor, " n"]
) -> Float[Tensor, ""]:
    """The sum of −log p(wanted), in nats."""
    return cross_entropy(logits, wanted, reduction="sum")


class TaskObjective:
    """Steps 3 to 5 as an objective of the loop; its part is "task".

    Raises:
        ValueError: length has no room for a pair of two words, or no batch.
    """

    def __init__(
        self,
        task: Task,
        tokenizer: Tokenizer,
        model: nn.Module,
        *,
        length: int,
        batch_size: int,
        seed: int = 0,
    ) -> None:
        for name, value, least in (
            ("length", length, 4 + n_separators(model)),
            ("batch_size", batch_size, 1),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self.task, self.tokenizer, self.length = task, tokenizer, length
        self.batch_size, self.seed = batch_size, seed
        self._model = model  # for its family, not its weights

    def batch(self, step: int) -> Batch:
        examples = self.task.train
        rows = shuffled_rows(step, self.batch_size, len(examples), self.seed)
        return self.inputs([examples[i] for i in rows.tolist()])

    def inputs(self, examples: Sequence[Example]) -> Batch:
        return inputs(
            examples, self.task, self.tokenizer, self._model, length=self.length
        )

    def evaluation_batches(self) -> Iterator[Batch]:
        """The validation set, once."""
        for i in range(0, len(self.task.valid), self.batch_size):
            yield self.inputs(self.task.valid[i : i + self.batch_size])

    def counts(self, batch: Batch) -> dict[str, int]:
        if "labels" in batch:
            return {"task": len(batch["labels"])}
        return {"task": int((batch["targets"] != IGNORE).sum())}

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        return {"task": loss(*forward(model, batch))}


# -- 6 Update -------------------------------------------------------------------------


def update(
    model: nn.Module,
    objective: TaskObjective,
    settings: Settings,
    **options: Any,
) -> Run:
    """Train; the model ends as the one that `evaluate` found best on `valid`.

    `options` are those of `lmlib.training.loop.train`.
    """
    score, higher = SCORES[objective.task.kind]
    return train(
        model,
        objective,
        replace(settings, score=score, higher_is_better=higher),
        validate=lambda model: evaluate(model, objective, objective.task.valid),
        **options,
    )


# -- 7 Evaluate, and keep the best ----------------------------------------------------


def evaluate(
    model: nn.Module, objective: TaskObjective, examples: Sequence[Example]
) -> Scores:
    """Loss in nats, and what scikit-learn says of the predictions.

    Classes: accuracy; F1, the mean over classes ("macro"); Matthews' correlation; over
    texts or, for tagging, words; `left_out` is the share of words beyond the length, if
    there are any, which count for none of these. Generation: accuracy is that of the
    next token, given the right ones before it.

    The model is taken as it is: `lmlib.training.loop.scores_of` turns dropout off.
    """
    from sklearn.metrics import (  # type: ignore[import-untyped]
        accuracy_score,
        f1_score,
        matthews_corrcoef,
    )

    predicted, wanted, nats = _predictions(model, objective, examples)
    scores = {"loss": nats, "accuracy": float(accuracy_score(wanted, predicted))}
    if objective.task.kind == "generation":
        return scores
    classes = list(range(len(objective.task.names)))
    if objective.task.kind == "tagging":
        n_words = sum(len(example.text.split()) for example in examples)
        if len(wanted) < n_words:
            scores["left_out"] = 1 - len(wanted) / n_words
    f1 = f1_score(wanted, predicted, labels=classes, average="macro", zero_division=0.0)
    return {
        **scores,
        "macro_f1": float(f1),
        "matthews": float(matthews_corrcoef(wanted, predicted)),
    }


@torch.no_grad()
def _predictions(
    model: nn.Module, objective: TaskObjective, examples: Sequence[Example]
) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Classes (or tokens) predicted and wanted, and the mean loss."""
    device = next(model.parameters()).device
    predicted, wanted, nats = [], [], 0.0
    # Similar lengths together: less padding.
    ordered = sorted(examples, key=lambda e: len(e.text) + len(e.second))
    for i in range(0, len(ordered), objective.batch_size):
        batch = objective.inputs(ordered[i : i + objective.batch_size])
        logits, answers = forward(model, {k: v.to(device) for k, v in batch.items()})
        nats += loss(logits, answers).item()
        predicted.append(logits.argmax(dim=-1).cpu().numpy())
        wanted.append(answers.cpu().numpy())
    every = np.concatenate(wanted)
    return np.concatenate(predicted), every, nats / max(len(every), 1)


def answer(
    model: nn.Module,
    text: str,
    tokenizer: Tokenizer,
    *,
    length: int,
    n_new: int = 32,
    **options: Any,
) -> str:
    """What a model that was fine-tuned to generate says to `text`.

    A decoder has `length` positions for both: `n_new` gets half of them at most, and of
    the text the end is kept. `options` are those of `lmlib.models.generate.generate`;
    by default each token is the likeliest.
    """
    device, special = next(model.parameters()).device, tokenizer.special
    given = tokenizer.encode(text).tolist()
    if isinstance(model, T5):
        given = [*given[-(length - 1) :], special.eos]
        start = 1  # the decoder's first token is no text
    else:
        assert isinstance(model, GPT)
        n_new = min(n_new, length // 2)
        given = [*given[-(length - 1 - n_new) :], special.sep]
        start = len(given)
    tokens = generate(
        model,
        torch.tensor([given], device=device),
        n_new,
        eos_id=special.eos,
        pad_id=special.pad,
        start_id=special.pad,
        **options,
    )[0, start:].tolist()
    end = tokens.index(special.eos) if special.eos in tokens else len(tokens)
    return tokenizer.decode(tokens[:end])


def final_scores(
    model: nn.Module, objective: TaskObjective, examples: Sequence[Example]
) -> Scores:
    """`evaluate`, without dropout; for generation also `exact`.

    `exact` is the share of texts that the model writes as wanted, to the letter.
    """
    scores = scores_of(model, lambda m: evaluate(m, objective, examples))
    if objective.task.kind == "generation":
        length, tokenizer = objective.length, objective.tokenizer
        wanted = [str(e.wanted) for e in examples]
        # Room for the longest of them, and for the end.
        n_new = 1 + max(len(tokenizer.encode(text)) for text in wanted)
        exact = [
            answer(model, e.text, tokenizer, length=length, n_new=n_new) == text
            for e, text in zip(examples, wanted, strict=True)
        ]
        scores["exact"] = float(np.mean(exact))
    return scores


# -- All seven ------------------------------------------------------------------------


@dataclass
class Tuned:
    """A fine-tuned model, with LoRA's matrices merged, and how it came about."""

    model: nn.Module
    objective: TaskObjective
    run: Run

    def test(self) -> Scores:
        """Open the test set; the `final_scores` on it.

        Raises:
            RuntimeError: the test set has been opened before.
        """
        examples = self.objective.task.test.open()
        return final_scores(self.model, self.objective, examples)


def finetune(
    pretrained: Pretrained,
    task: Task,
    tokenizer: Tokenizer,
    settings: Settings,
    *,
    method: Method = "full",
    rank: int = 8,
    length: int = 128,
    batch_size: int = 32,
    device: torch.device | str | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> Tuned:
    """Steps 2 to 7 on a task. The test set stays closed: see `Tuned.test`.

    What decides is accuracy, macro F1 for tagging, the loss for generation, each on the
    validation set, every `settings.validate_every` steps. `pretrained` does not change.

    Raises:
        ValueError: as `initialise`; or `length` exceeds the model's positions.
    """
    config = pretrained.config
    longest = None if isinstance(config, T5Config) else config.longest
    if longest is not None and length > longest:
        raise ValueError(f"length must be at most {longest}, got {length}")
    seed_everything(settings.seed)
    model = initialise(pretrained, task, method=method, rank=rank)
    objective = TaskObjective(
        task, tokenizer, model, length=length, batch_size=batch_size, seed=settings.seed
    )
    run = update(
        model,
        objective,
        settings,
        device=device,
        folder=folder,
        resume=resume,
        progress=progress,
        configuration={
            "method": method,
            "rank": rank,
            "length": length,
            "batch_size": batch_size,
            "tokenizer": tokenizer.digest,
            "examples": examples_digest(task),
            "pretrained": weights_digest(pretrained),
        },
    )
    merge_lora(model)
    return Tuned(model, objective, run)


def examples_digest(task: Task) -> str:
    """SHA-256 of what is learned from and chosen by."""
    return _digest(repr((task.train, task.valid)).encode())


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of all parameters."""
    return _digest(
        b"".join(p.detach().cpu().float().numpy().tobytes() for p in model.parameters())
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
