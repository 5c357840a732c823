"""The exercises of section 4.1, in the order of the assignment."""

from lmlib.exercises.scores_and_weighted_sum import backward, pieces, softmax

SECTION = "4.1-scores-and-weighted-sum"

EXERCISES = [*softmax.EXERCISES, *backward.EXERCISES, *pieces.EXERCISES]
