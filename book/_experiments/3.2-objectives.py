"""3.2: pre-training objectives on the same text, with AdamW and with Muon."""

from typing import Any

from experiment import SEEDS, Row, Runs, main

from lmlib.data.load import load_corpus
from lmlib.shipped import shipped
from lmlib.training.pretrain import Size, corpus_digest, pretrain
from lmlib.training.settings import Settings

STEPS = 600


def runs() -> Runs:
    """Validation losses of 4 layers of 128 on installed documentation."""

    def run(recipe: str, optimizer: Any, seed: int) -> Row:
        # The tokens are those of the models that come with the course.
        tokenizer = shipped("gpt" if recipe == "causal" else "bert").tokenizer
        corpus = load_corpus("installed", tokenizer)
        held_out = load_corpus("installed", tokenizer, "valid")
        settings = Settings(
            steps=STEPS,
            lr=2e-3,
            optimizer=optimizer,
            warmup=STEPS // 20,
            validate_every=50,
            precision="fp32",
            seed=seed,
        )
        _, done = pretrain(
            recipe, tokenizer, corpus, held_out, Size(), settings, batch_size=16
        )
        points = [line for line in done.history if "validation" in line]
        return {
            "corpus": corpus_digest(corpus),
            "tokens": STEPS * 16 * Size().length,
            "bytes_per_token": held_out.n_bytes / len(held_out.tokens),
            "steps": [line["step"] for line in points],
            "validation": [line["validation"] for line in points],  # nats per target
        }

    for seed in SEEDS:
        for recipe, optimizer in (
            ("mlm+nsp", "muon"),
            ("mlm", "muon"),
            ("rtd", "muon"),
            ("causal", "muon"),
            ("mlm", "adamw"),
            ("causal", "adamw"),
        ):
            what = {"recipe": recipe, "optimizer": optimizer, "seed": seed}
            yield what, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
