"""Section 3.2.1: predict, then run."""

from typing import Any

from lmlib.exercises import questions
from lmlib.exercises.exercise import Exercise, Misconception

N_MASKABLE, SHARE = 400, 0.15  # as in the notebook
COPIES = 10
BITS, REPORTED_SHARE = 4.89, 0.131


def reference_answers() -> dict[str, Any]:
    n_targets = round(SHARE * N_MASKABLE)
    return {
        "masked": round(0.8 * n_targets),
        "changed": round(0.9 * n_targets),
        "never": (1 - SHARE) ** COPIES,
        "reported": BITS * REPORTED_SHARE,
    }


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


PREDICT = Exercise(
    name="3.2.1/predict",
    title="Predict, then run",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=questions.parts(
        {
            "masked": "`masked`: how many tokens of 400 show [MASK]",
            "changed": "`changed`: how many inputs differ from the text",
            "never": "`never`: the share that is no target in any of ten copies",
            "reported": "`reported`: the loss with the zeros averaged in, in bits",
        },
        "what is to be predicted",
    ),
    misconceptions=(
        _wrong(
            "60 are the targets, 15 % of 400: a fifth of them shows a token.",
            masked=60,
        ),
        _wrong(
            "60 are the targets: those that are kept do not differ from the text.",
            changed=60,
        ),
        _wrong(
            "48 show [MASK]: the random ones differ from the text, too.", changed=48
        ),
        _wrong(
            "Ten copies of 15 % make more than 100 %, but they overlap: in each copy a "
            "token escapes with probability 0.85, whatever the others did.",
            never=0,
        ),
        _wrong(
            "0.85 is the share that is no target in *one* copy: it must escape in all "
            "ten.",
            never=0.85,
        ),
        _wrong(
            "4.89 bits is the mean over the targets. The zeros of all the other tokens "
            "are counted in the mean that was reported.",
            reported=4.89,
        ),
        _wrong(
            "You took 15 % of 4.89. The share that counts is that of *all* tokens "
            "which are targets; special tokens and padding never are.",
            reported=round(4.89 * 0.15, 2),
        ),
    ),
    slips=(
        _wrong(
            "320 is 80 % of all tokens: 80 % of the *targets* show [MASK].", masked=320
        ),
        _wrong(
            "6 is the tenth that is replaced, or the tenth that is kept: the masked "
            "tokens differ from the text too.",
            changed=6,
        ),
        _wrong(
            "340 is the number of tokens that are no targets: those do not differ.",
            changed=340,
        ),
        _wrong("A share is asked for, between 0 and 1.", never=19.7),
        _wrong("A share is asked for, between 0 and 1.", never=20),
        _wrong(
            "That is the share that *is* a target in one copy or more.",
            never=1 - (1 - SHARE) ** COPIES,
        ),
        _wrong(
            "You divided: zeros in a mean make it smaller.",
            reported=BITS / REPORTED_SHARE,
        ),
    ),
    hints=(
        "Of the 400, how many are targets? Of these 80 % show [MASK], 10 % a random "
        "token, 10 % themselves.",
        "A token is no target in a copy with probability 1 − 0.15. The copies are "
        "drawn independently.",
        "In a mean over all tokens 86.9 % of the terms are 0. What is left of 4.89?",
    ),
    reveal=False,
)

EXERCISES = [PREDICT]
