"""`lmlib evaluate`: how good a model is."""

import argparse
from pathlib import Path
from typing import Any

from lmlib.commands import options
from lmlib.commands.task_options import add_task, tuned_task

TEXT = """\
Measure a model on text, or on a task, that it has not seen.

  a decoder (GPT,      bits per byte: how small the text becomes if the model drives an
  Llama)               arithmetic coder (if its tokenizer gives the text back: WordPiece
                       does not); bits per token; perplexity; how often the likeliest
                       token is the right one
  an encoder (BERT)    bits per masked token and how many it fills in rightly; the same
                       for next sentences or sentence order, if it has the head. These
                       are no code length: a masked token is told by both sides.
  a T5                 bits per token that was cut out
  a fine-tuned model   on its --task: the loss, accuracy, macro F1 and Matthews'
                       correlation; of one that generates also how often it is exact;
                       of one that tags words the share of them beyond its length
                       (left_out), if there are any, which count for none of these

Texts that were learned from have the splits train, valid and test. Look at test last,
and once.

examples:
  lmlib evaluate runs/causal --text tiny-shakespeare --split test --stride 64
  lmlib evaluate runs/packages --task packages
"""


def add(commands: Any) -> None:
    parser = options.add_parser(commands, "evaluate", "how good a model is", TEXT)
    parser.add_argument("model", type=Path, metavar="MODEL", help="a folder")
    parser.add_argument("--text", default="installed", help="as in lmlib pretrain")
    parser.add_argument(
        "--split",
        choices=["train", "valid", "test", "all"],
        default="test",
        help="of it",
    )
    add_task(parser, None)
    parser.add_argument(
        "--length",
        type=options.whole,
        default=128,
        help="tokens of a sequence, at most",
    )
    parser.add_argument(
        "--stride",
        type=options.whole,
        help="of a decoder's windows; shorter than --length it gives each token more "
        "context, and takes more time",
    )
    parser.add_argument(
        "--batch", type=options.whole, default=32, help="sequences at once"
    )
    parser.add_argument(
        "--seed", type=options.whole, default=0, help="of masks, pairs, splits"
    )
    options.add_device(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    import lmlib
    from lmlib.training.pretrain import WithHeads
    from lmlib.training.saved import load

    options.check_counts(given, "batch", "length", "stride", "train")
    options.check_seed(given)
    kept = load(given.model, lmlib.device(given.device))
    tuned = isinstance(kept.model, WithHeads) or given.task is not None
    with options.threads(options.width_of(kept.model)):
        return _task(given, kept) if tuned else _text(given, kept)


def _task(given: argparse.Namespace, kept: Any) -> int:
    from lmlib.training.finetune import TaskObjective, final_scores

    if given.task is None:
        raise ValueError(f"{given.model} is fine-tuned: give a --task")
    task, known = tuned_task(given, given.model, kept), kept.made["task"]
    objective = TaskObjective(
        task, kept.tokenizer, kept.model, length=known["length"], batch_size=given.batch
    )
    examples = {
        "train": lambda: task.train,
        "valid": lambda: task.valid,
        "test": task.test.open,
    }
    if given.split not in examples:
        raise ValueError("--split must be train, valid or test for a task")
    chosen = examples[given.split]()
    print(f"{len(chosen):,} examples ({given.split}):")
    options.print_scores(final_scores(kept.model, objective, chosen))
    return 0


def _text(given: argparse.Namespace, kept: Any) -> int:
    from lmlib.data.load import load_corpus, load_documents
    from lmlib.losses import bits, bits_per_byte, perplexity
    from lmlib.training.loop import scores_of, validation_loss
    from lmlib.training.pretrain import accuracy, make_objective

    recipe = _recipe(kept)
    corpus = load_corpus(given.text, kept.tokenizer, given.split)
    longest = getattr(kept.model.backbone.config, "longest", None)
    objective: Any = make_objective(
        recipe,
        corpus,
        kept.tokenizer.special,
        kept.tokenizer.size,
        length=min(given.length, longest or given.length),
        batch_size=given.batch,
        seed=given.seed,
    )

    def batches() -> Any:
        if recipe == "causal":
            return objective.evaluation_batches(given.stride)
        return objective.evaluation_batches()

    losses = scores_of(kept.model, validation_loss(objective, batches))
    right = scores_of(kept.model, accuracy(objective, batches))
    print(f"{corpus.n_bytes:,} bytes, {len(corpus.tokens):,} tokens ({given.split}):")
    for part, share in right.items():
        print(
            f"  {part:8} {bits(losses[part]):8.4f} bits per target, {share:.3f} right"
        )
    if recipe == "causal":
        n = sum(objective.counts(batch)["lm"] for batch in batches())
        some = [d.text for d in load_documents(given.text, given.split)[:100]]
        if all(kept.tokenizer.decode(kept.tokenizer.encode(x)) == x for x in some):
            size = bits_per_byte(losses["lm"] * n, corpus.n_bytes)
            print(f"  {size:.4f} bits per byte")
        else:
            print("  no bits per byte: the tokenizer does not give the text back")
        print(f"  {perplexity(losses['lm']):.2f} perplexity, per token")
    return 0


def _recipe(kept: Any) -> str:
    from lmlib.models.gpt import GPT

    if isinstance(kept.model, GPT):
        return "causal"
    if kept.family == "t5":
        if kept.made.get("recipe") != "span":
            raise ValueError("only a T5 of `lmlib pretrain span` is measured on text")
        return "span"
    parts = [part for part in ("mlm", "nsp", "sop") if part in kept.model.heads]
    if "mlm" not in parts:
        raise ValueError("the encoder has no head to measure: fine-tune it")
    return "+".join(parts)
