"""Pre-training: learning from text that nobody has labelled (section 3.2).

A recipe is an objective with a model that has the heads for it:

| recipe   | learns to                            | family          | source          |
| -------- | ------------------------------------ | --------------- | --------------- |
| causal   | predict the next token               | gpt2, pangu     | Radford 2018    |
| mlm      | fill in masked tokens                | bert, roberta … | Liu 2019        |
| mlm+nsp  | … and tell whether B follows A       | bert            | Devlin 2019     |
| mlm+sop  | … and tell which comes first         | albert          | Lan 2020        |
| rtd      | detect tokens that were replaced     | bert            | Clark 2020      |
| span     | restore what was cut out             | t5              | Raffel 2020     |
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from lmlib.data.corpus import Corpus, SpecialTokens
from lmlib.data.tokenizers import Tokenizer
from lmlib.models.bert import Albert, Bert, Roberta
from lmlib.models.gpt import GPT, gpt_config
from lmlib.models.heads import TokenHead
from lmlib.models.pangu import PanGu
from lmlib.models.t5 import T5, t5_config
from lmlib.objectives.causal import CausalLM
from lmlib.objectives.mlm import MaskedLM
from lmlib.objectives.nsp import NextSentence
from lmlib.objectives.objective import Batch, Objective, at_targets, forward
from lmlib.objectives.rtd import ReplacedTokens
from lmlib.objectives.sequences import PackedSequences
from lmlib.objectives.sop import SentenceOrder
from lmlib.objectives.span import SpanCorruption
from lmlib.training.loop import Validate, train, validation_loss
from lmlib.training.progress import Run, Scores
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings
from lmlib.transformer import TransformerConfig

# The families that each recipe can train; the first is its own.
RECIPES: dict[str, tuple[str, ...]] = {
    "causal": ("gpt2", "pangu"),
    "mlm": ("bert", "roberta", "albert"),
    "mlm+nsp": ("bert",),
    "mlm+sop": ("albert",),
    "rtd": ("bert",),
    "span": ("t5",),
}
N_SENTINELS = 100


class WithHeads(nn.Module):
    """A backbone and the heads of an objective's parts, by name."""

    def __init__(self, backbone: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.backbone: Any = backbone  # mostly a `Transformer`
        self.heads = nn.ModuleDict(dict(heads))


@runtime_checkable
class Pretraining(Objective, Protocol):
    """An objective that can also go once through a text, to be measured on it."""

    def evaluation_batches(self) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class Size:
    """How large a model is, and how long its sequences are.

    `dropout` is 0 by default: a small model that sees each text a few times has nothing
    to unlearn, and dropout costs time.
    """

    d_model: int = 128
    n_layers: int = 4
    n_heads: int = 4
    length: int = 128
    dropout: float = 0.0


def make_model(
    recipe: str,
    special: SpecialTokens,
    vocab_size: int,
    size: Size,
    family: str | None = None,
) -> nn.Module:
    """A model with random weights and the heads of `recipe`.

    For `span` the vocabulary grows by N_SENTINELS. For `rtd` it is a `WithHeads`, whose
    head "generator" is a model of a quarter of the width, which shares the token
    embedding (Clark et al. 2020, sections 3.2 and 3.3).

    Raises:
        ValueError: no such recipe, or a family that it does not train.
    """
    family = _check_recipe(recipe, family)
    d, n, heads, dropout = size.d_model, size.n_layers, size.n_heads, size.dropout
    if recipe == "causal":
        decoder = gpt_config(d, n, heads, vocab_size=vocab_size, max_len=size.length)
        decoder = replace(decoder, dropout=dropout, attention_dropout=dropout)
        return (PanGu if family == "pangu" else GPT)(decoder)
    if recipe == "span":
        return T5(
            t5_config(
                d,
                4 * d,
                n,
                heads,
                d_head=d // heads,
                vocab_size=vocab_size + N_SENTINELS,
                dropout=dropout,
            )
        )
    config = TransformerConfig(
        vocab_size=vocab_size,
        d_model=d,
        n_layers=n,
        n_heads=heads,
        max_len=size.length,
        n_segments=2,
        dropout=dropout,
        attention_dropout=dropout,
    )
    if family == "roberta":
        config = replace(
            config,
            n_segments=1,
            pad_id=special.pad,
            max_len=size.length + special.pad + 1,
            norm_eps=1e-5,
        )
    if family == "albert":
        config = replace(config, n_groups=1, d_embedding=max(d // 4, 1))
    make = {"bert": Bert, "roberta": Roberta, "albert": Albert}[family]
    if recipe != "rtd":
        return make(config, heads=recipe.split("+"))
    discriminator = make(config, heads=())
    small = replace(config, d_model=d // 4, n_heads=max(heads // 4, 1), d_embedding=d)
    generator = make(small, heads=("mlm",))
    token = discriminator.backbone.embeddings.token
    generator.backbone.embeddings.token = token
    generator.heads["mlm"].embedding = token
    rtd = TokenHead(d, 1)
    return WithHeads(discriminator.backbone, {"rtd": rtd, "generator": generator})


def make_objective(
    recipe: str,
    corpus: Corpus,
    special: SpecialTokens,
    vocab_size: int,
    *,
    length: int,
    batch_size: int,
    seed: int = 0,
) -> Pretraining:
    """The objective of `recipe` on a corpus.

    Raises:
        ValueError: no such recipe, or a corpus that it cannot use.
    """
    _check_recipe(recipe, None)
    rows: dict[str, Any] = {"length": length, "batch_size": batch_size, "seed": seed}
    if recipe == "causal":
        return CausalLM(corpus, special, **rows)
    if recipe == "span":
        sentinels = range(vocab_size, vocab_size + N_SENTINELS)
        return SpanCorruption(corpus, special, sentinels=sentinels, **rows)
    if recipe == "mlm+nsp":
        pairs = NextSentence(corpus, special, **rows)
        return MaskedLM(pairs, vocab_size=vocab_size, seed=seed)
    if recipe == "mlm+sop":
        order = SentenceOrder(corpus, special, **rows)
        return MaskedLM(order, vocab_size=vocab_size, seed=seed)
    packed = PackedSequences(corpus, special, **rows)
    if recipe == "mlm":
        return MaskedLM(packed, vocab_size=vocab_size, seed=seed)
    masked = MaskedLM(
        packed, vocab_size=vocab_size, mask_share=1.0, random_share=0.0, seed=seed
    )
    return ReplacedTokens(masked, seed=seed)


def pretrain(
    recipe: str,
    tokenizer: Tokenizer,
    corpus: Corpus,
    held_out: Corpus,
    size: Size,
    settings: Settings,
    *,
    family: str | None = None,
    batch_size: int = 32,
    evaluation_batches: int = 50,
    device: torch.device | str | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> tuple[nn.Module, Run]:
    """Train a new model by a recipe; it ends as the best on `held_out`.

    Scores are losses in nats per target, on the first `evaluation_batches` of
    `held_out`. See `lmlib.training.loop.train` for the rest.
    """
    seed_everything(settings.seed)
    model = make_model(recipe, tokenizer.special, tokenizer.size, size, family)

    def objective(text: Corpus) -> Pretraining:
        return make_objective(
            recipe,
            text,
            tokenizer.special,
            tokenizer.size,
            length=size.length,
            batch_size=batch_size,
            seed=settings.seed,
        )

    measured = objective(held_out)
    run = train(
        model,
        objective(corpus),
        settings,
        validate=validation_loss(
            measured,
            lambda: islice(measured.evaluation_batches(), evaluation_batches),
            precision=settings.precision,
        ),
        device=device,
        folder=folder,
        resume=resume,
        configuration={
            "recipe": recipe,
            "family": _check_recipe(recipe, family),
            "size": asdict(size),
            "batch_size": batch_size,
            "tokenizer": tokenizer.digest,
            "corpus": corpus_digest(corpus),
            "held_out": corpus_digest(held_out),
        },
        progress=progress,
    )
    return model, run


def accuracy(
    objective: Pretraining, batches: Callable[[], Iterable[Batch]]
) -> Validate:
    """The share of targets that the model finds likeliest, for each part.

    Replaced-token detection is left out: "nothing was replaced" is right nine times in
    ten, and the generator's guesses are not what it is for.
    """

    def validate(model: Any) -> Scores:
        device = next(model.parameters()).device
        right: dict[str, int] = {}
        n: dict[str, int] = {}
        for batch in batches():
            batch = {name: values.to(device) for name, values in batch.items()}
            if isinstance(objective, SpanCorruption):
                mask = batch.get("attention_mask")
                memory = model.encode(batch["token_ids"], mask)
                hidden = model.decode(batch["decoder_ids"], memory, mask)
            else:
                hidden = forward(model, batch)
            for part in objective.counts(batch):
                head = "lm" if part == "span" else part
                if part == "rtd" or head not in model.heads:
                    continue
                if part in ("nsp", "sop"):
                    logits, wanted = model.heads[head](hidden), batch["labels"]
                else:
                    at, wanted = at_targets(hidden, batch["targets"])
                    logits = model.heads[head](at)
                right[part] = right.get(part, 0) + int(
                    (logits.argmax(dim=-1) == wanted).sum()
                )
                n[part] = n.get(part, 0) + len(wanted)
        return {part: right[part] / max(n[part], 1) for part in sorted(right)}

    return validate


def corpus_digest(corpus: Corpus) -> str:
    """SHA-256 of the tokens and of where sentences and documents end."""
    total = hashlib.sha256()
    for array in (corpus.tokens, corpus.sentences, corpus.documents):
        total.update(array.tobytes())
    return total.hexdigest()


def _check_recipe(recipe: str, family: str | None) -> str:
    if recipe not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
    if family is None:
        return RECIPES[recipe][0]
    if family not in RECIPES[recipe]:
        raise ValueError(
            f"family must be one of {', '.join(RECIPES[recipe])} for {recipe}, got "
            f"{family!r}"
        )
    return family
