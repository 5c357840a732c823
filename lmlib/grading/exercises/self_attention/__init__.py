"""The exercises of section 3.1, in the order of the assignment."""

from lmlib.grading.exercises.self_attention import heads, order, reading, weights

EXERCISES = [
    *weights.EXERCISES,
    *heads.EXERCISES,
    *order.EXERCISES,
    *reading.EXERCISES,
]
