"""The exercises of section 3.1, in the order of the assignment."""

from lmlib.exercises.self_attention import heads, order, reading, weights

SECTION = "3.1-self-attention"

EXERCISES = [
    *weights.EXERCISES,
    *heads.EXERCISES,
    *order.EXERCISES,
    *reading.EXERCISES,
]
