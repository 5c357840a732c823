"""3.2.1: models that learned with 5, 15 and 40 % of the tokens as targets."""

from experiment import SEEDS, Row, Runs, main

from lmlib.data.load import load_corpus
from lmlib.objectives.any_order import bits_by_share
from lmlib.objectives.mlm import MaskedLM
from lmlib.objectives.sequences import PackedSequences
from lmlib.shipped import shipped
from lmlib.training.loop import train
from lmlib.training.pretrain import Size, corpus_digest, make_model
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings

STEPS = 500
BATCH = 16
LEARNED = (0.05, 0.15, 0.4)
HIDDEN = (1 / 126, 0.05, 0.15, 0.3, 0.4, 0.5, 0.7, 0.85, 0.95, 1.0)


def runs() -> Runs:
    """Bits per hidden token on held-out modules, by the share that is hidden there."""

    def run(share: float, seed: int) -> Row:
        tokenizer = shipped("bert").tokenizer
        corpus = load_corpus("installed", tokenizer)
        held_out = load_corpus("installed", tokenizer, "valid")
        size = Size()

        def rows(text, seed):  # type: ignore[no-untyped-def]
            return PackedSequences(
                text, tokenizer.special, length=size.length, batch_size=BATCH, seed=seed
            )

        seed_everything(seed)
        model = make_model("mlm", tokenizer.special, tokenizer.size, size)
        objective = MaskedLM(
            rows(corpus, seed), vocab_size=tokenizer.size, share=share, seed=seed
        )
        settings = Settings(
            steps=STEPS,
            lr=2e-3,
            optimizer="muon",
            warmup=STEPS // 20,
            precision="fp32",
            seed=seed,
        )
        train(model, objective, settings)
        model.eval()
        bits = bits_by_share(
            model,
            rows(held_out, 0),  # for all models the same text and masks
            HIDDEN,
            vocab_size=tokenizer.size,
            batches=16,
        )
        return {
            "corpus": corpus_digest(corpus),
            "tokens": STEPS * BATCH * size.length,
            "bytes_per_token": held_out.n_bytes / len(held_out.tokens),
            "hidden": list(HIDDEN),
            "bits": bits,
        }

    for seed in SEEDS:
        for share in LEARNED:
            what = {"share": share, "seed": seed}
            yield what, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
