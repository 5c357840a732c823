"""3.2.2: what the two ways to draw next sentences do to the masked tokens."""

from experiment import SEEDS, AsItComes, Row, Runs, main

from lmlib.data.load import load_corpus
from lmlib.objectives.mlm import MaskedLM
from lmlib.objectives.nsp import NextSentence
from lmlib.objectives.sequences import PackedSequences
from lmlib.shipped import shipped
from lmlib.training.loop import scores_of, train, validation_loss
from lmlib.training.pretrain import Size, corpus_digest, make_model
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings

STEPS, N_BATCHES = 300, 40  # of 16 rows of 128 tokens; of 32 rows
DRAWN = {"as it comes": AsItComes, "equal lengths": NextSentence}


def runs() -> Runs:
    """From new weights; both are judged on the same packed rows of held-out text."""

    def run(drawn: str, seed: int) -> Row:
        tokenizer = shipped("bert").tokenizer
        special, vocab_size = tokenizer.special, tokenizer.size
        corpus = load_corpus("installed", tokenizer)
        seed_everything(seed)
        model = make_model("mlm+nsp", special, vocab_size, Size())
        pairs = DRAWN[drawn](corpus, special, length=128, batch_size=16, seed=seed)
        settings = Settings(
            steps=STEPS,
            lr=2e-3,
            optimizer="muon",
            warmup=STEPS // 20,
            precision="fp32",
            seed=seed,
        )
        train(model, MaskedLM(pairs, vocab_size=vocab_size, seed=seed), settings)
        held_out = load_corpus("installed", tokenizer, "valid")
        packed = PackedSequences(held_out, special, length=128, batch_size=32)
        judge = MaskedLM(packed, vocab_size=vocab_size)
        batches = list(judge.evaluation_batches())[:N_BATCHES]
        scores = scores_of(model, validation_loss(judge, lambda: batches))
        return {"corpus": corpus_digest(corpus), "masked": scores["mlm"]}

    for seed in SEEDS:
        for drawn in DRAWN:
            what = {"drawn": drawn, "seed": seed}
            yield what, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
