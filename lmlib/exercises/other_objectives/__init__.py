"""The exercises of section 3.2.3, in the order of the assignment."""

from lmlib.exercises.other_objectives import prediction, replaced_tokens, sentences

SECTION = "3.2.3-other-objectives"

EXERCISES = [
    *replaced_tokens.EXERCISES,
    *sentences.EXERCISES,
    *prediction.EXERCISES,
]
