"""`lmlib pretrain`: a model from nothing but text."""

import argparse
from pathlib import Path
from typing import Any

from lmlib.commands import options

TEXT = """\
Train a small language model on text that nobody labelled.

  recipe    learns to                                     as in
  causal    predict the next token                        GPT
  mlm       fill in masked tokens                         RoBERTa
  mlm+nsp   the same, and whether B follows A             BERT
  mlm+sop   the same, and which of two comes first        ALBERT
  rtd       detect tokens that a small model made up      ELECTRA
  span      restore what was cut out                      T5

The text is "installed" (documentation that came with Python, numpy, torch and
matplotlib), one of its parts (reference, stdlib, numpy, torch, matplotlib), a public
set (tiny-shakespeare, wikitext-2, alice29, analects, tang-poems), or a file or folder
of yours. Documents are divided: 90 % to learn from, 5 % to choose by, 5 % for
`lmlib evaluate`; a single file is cut into these parts.

In --out you find the model that was best on held-out text, in the layout of the Hugging
Face hub (config.json, model.safetensors, tokenizer.json), how it was made (lmlib.json),
and in training/ the loss of every step (history.jsonl) and the last checkpoint. A run
that was killed goes on with --resume, to the same numbers. One that has ended goes
further with --resume and more --steps: from its last step, at the learning rates that
the longer run has from there on, so they rise again. What comes is a continuation, not
what so many steps give at once, for which the rates would have been higher before.

examples:
  lmlib pretrain causal --out runs/gpt                    some minutes on a laptop
  lmlib pretrain mlm+nsp --text ~/notes --out runs/bert --optimizer muon
  torchrun --nproc-per-node 2 -m lmlib.cli pretrain mlm   two processes or GPUs
and then:
  lmlib generate runs/gpt "The function returns"
  lmlib finetune runs/bert
"""


def add(commands: Any) -> None:
    parser = options.add_parser(
        commands, "pretrain", "train a language model on text", TEXT
    )
    parser.add_argument(
        "recipe",
        choices=["causal", "mlm", "mlm+nsp", "mlm+sop", "rtd", "span"],
        metavar="RECIPE",
        help="see above",
    )
    parser.add_argument("--text", default="installed", help="what to learn from")
    parser.add_argument("--out", type=Path, help="a folder (default: runs/RECIPE)")
    parser.add_argument(
        "--family", help="gpt2, bert, roberta, albert or t5 (default: the recipe's)"
    )
    parser.add_argument(
        "--tokenizer",
        help="bytes, bpe, wordpiece, or a tokenizer.json (default: wordpiece for "
        "encoders, bpe else)",
    )
    parser.add_argument(
        "--vocab",
        type=options.whole,
        default=4096,
        help="tokens of a tokenizer to be made",
    )
    size = parser.add_argument_group("size")
    size.add_argument("--layers", type=options.whole, default=4, help="blocks")
    size.add_argument(
        "--width", type=options.whole, default=128, help="features of a vector"
    )
    size.add_argument("--heads", type=options.whole, default=4, help="attention heads")
    size.add_argument(
        "--length", type=options.whole, default=128, help="tokens of a sequence"
    )
    size.add_argument("--dropout", type=options.real, default=0.0, help="costs time")
    options.add_training(parser, steps=600, lr=2e-3, batch=16, every=100)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    from lmlib.data.load import load_corpus
    from lmlib.training import parallel
    from lmlib.training.pretrain import RECIPES, Size, corpus_digest, pretrain
    from lmlib.training.saved import save

    out: Path = given.out or Path("runs") / given.recipe
    # All that can be told at once, before the text is read and a tokenizer made of it.
    settings = options.settings_of(given)
    options.check_counts(given, "batch", "vocab", "layers", "width", "heads", "length")
    options.check_out(out)
    families = [name for name in RECIPES[given.recipe] if name != "pangu"]
    family = given.family or families[0]
    if family == "pangu":
        raise ValueError("a PanGu-α cannot be kept in the Hugging Face layout")
    if family not in families:
        raise ValueError(
            f"family must be {' or '.join(families)} for {given.recipe}, got {family}"
        )
    with (
        parallel.processes(given.device) as device,
        options.threads(given.width) as n_threads,
    ):
        tokenizer = _tokenizer(given, out)
        corpus = load_corpus(given.text, tokenizer)
        held_out = load_corpus(given.text, tokenizer, "valid")
        first = parallel.rank() == 0
        if first:
            print(
                f"{len(corpus.tokens):,} tokens to learn from, "
                f"{len(held_out.tokens):,} held out; on "
                f"{options.place(device, n_threads)}"
            )
        size = Size(given.width, given.layers, given.heads, given.length, given.dropout)
        model, done = pretrain(
            given.recipe,
            tokenizer,
            corpus,
            held_out,
            size,
            settings,
            family=family,
            batch_size=given.batch,
            device=device,
            folder=options.run_folder(out),
            resume=given.resume,
            progress=False if given.quiet else None,
        )
        if first:
            made = {
                "command": given.command_line,
                "seed": given.seed,
                "recipe": given.recipe,
                "text": str(given.text),
                "length": given.length,
                "corpus": corpus_digest(corpus),
                "steps": done.steps,
                "scores": done.best_scores,
            }
            save(model, tokenizer, out, made, family=family)
            print(f"best at step {done.best_step} of {done.steps}:")
            options.print_losses(done.best_scores or {})
            print(f"the model is in {out}")
    return 0


def _tokenizer(given: argparse.Namespace, out: Path) -> Any:
    from lmlib.data import tokenizers
    from lmlib.data.load import load_documents

    wanted = given.tokenizer or (
        "bpe" if given.recipe in ("causal", "span") else "wordpiece"
    )
    if wanted == "bytes":
        return tokenizers.ByteTokenizer()
    if wanted not in ("bpe", "wordpiece"):
        try:
            return tokenizers.load_tokenizer(wanted)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"--tokenizer {wanted}: {error}") from None
    make = tokenizers.train_bpe if wanted == "bpe" else tokenizers.train_wordpiece
    return make((d.text for d in load_documents(given.text)), given.vocab)
