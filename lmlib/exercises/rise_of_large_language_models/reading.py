"""Section 1.2: numbers that were printed, and what a count says of them."""

from typing import Any

from lmlib.exercises import questions
from lmlib.exercises.exercise import Exercise, Misconception
from lmlib.exercises.rise_of_large_language_models import counting

GPT2_MEDIUM = counting.reference_parameters(24, 1024, 50257, 1024, 4096, True)


def reference_answers() -> dict[str, Any]:
    return {
        "gpt2_medium": round(GPT2_MEDIUM / 1e6),
        "gpt3_13b_width": 40 * 128,
        "gpt3_xl_heads": 2048 // 128,
        "bert_tokens": round(256e6 * (0.9 * 128 + 0.1 * 512) / 1e9),
        "albert_time": 12,
        "even_length": 6 * 12288,
    }


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


AUDIT = Exercise(
    name="1.2/audit",
    title="Audit what was printed",
    difficulty=2,
    minutes=20,
    reference=reference_answers,
    parts=questions.parts(
        {
            "gpt2_medium": "`gpt2_medium`: its parameters, in millions",
            "gpt3_13b_width": "`gpt3_13b_width`: the width that fits table D.1",
            "gpt3_xl_heads": "`gpt3_xl_heads`: how many, if they fill the width",
            "bert_tokens": "`bert_tokens`: in thousands of millions, by its steps",
            "albert_time": "`albert_time`: operations over 6N",
            "even_length": "`even_length`: where attention costs as much as the rest",
        },
        "what was printed",
    ),
    misconceptions=(
        _wrong(
            "345 million is what the paper printed, and its authors took back. Count "
            "with 24 layers of 1,024.",
            gpt2_medium=345,
        ),
        _wrong(
            "You counted the blocks and the norms alone: the tables of tokens and "
            "positions are parameters, too.",
            gpt2_medium=302,
        ),
        _wrong(
            "The table of tokens is there once: GPT-2's head shares it.",
            gpt2_medium=406,
        ),
        _wrong(
            "5140 is what table 2.1 prints. 40 heads of 128 have another width "
            "together, and with 5140 the count is 12,936 million.",
            gpt3_13b_width=5140,
        ),
        _wrong(
            "24 heads of 128 have 3,072 features, and the model is 2,048 wide.",
            gpt3_xl_heads=24,
        ),
        _wrong(
            "250 was cited, and follows from nothing in the paper: multiply steps, "
            "sequences and their lengths.",
            bert_tokens=250,
        ),
        _wrong(
            "131 would be right if all sequences had 512 tokens. Nine steps in ten had "
            "128.",
            bert_tokens=131,
        ),
        _wrong(
            "33 would be right if all sequences had 128 tokens. One step in ten had "
            "512.",
            bert_tokens=33,
        ),
        _wrong(
            "6N counts each parameter once. ALBERT's one block works in every layer: "
            "its parameters are bytes, and not time.",
            albert_time=1,
        ),
        _wrong(
            "Each layer costs the same and there are twelve: not one in twelve, but "
            "twelve times.",
            albert_time=0.08,
        ),
        _wrong(
            "That is the width. Attention's products are T/(6d) of the blocks'.",
            even_length=12288,
        ),
        _wrong(
            "2,048 is the length that it was trained at. Solve T/(6d) = 1 for T.",
            even_length=2048,
        ),
    ),
    hints=(
        "Your `decoder_parameters` answers the first two.",
        "Tokens: steps × sequences × length, for each of the two lengths.",
        "12·L·T·d = 6·12·L·d², solved for T.",
    ),
    reveal=False,
)

EXERCISES = [AUDIT]
