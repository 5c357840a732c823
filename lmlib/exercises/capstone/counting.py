"""The capstone: a place in a table, what a dictionary pays, and what to expect."""

import lzma
import zlib
from typing import Any

import torch
from torch import Generator

from lmlib.exercises import questions
from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    draw_integer,
)

# -- slot -----------------------------------------------------------------------------


def slot(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in history[max(len(history) - order, 0) :]:
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h % size


def salted(history: bytes, order: int, size: int) -> int:
    return hash(history[-order:]) % size


def all_of_it_for_order_0(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in history[-order:]:
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h % size


def multiplied_first(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in history[max(len(history) - order, 0) :]:
        h = (h * 0x01000193 & 0xFFFFFFFF) ^ byte
    return h % size


def never_masked(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in history[max(len(history) - order, 0) :]:
        h = (h ^ byte) * 0x01000193
    return h % size


def mask_in_place_of_modulo(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in history[max(len(history) - order, 0) :]:
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h & (size - 1)


def newest_first(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in history[max(len(history) - order, 0) :][::-1]:
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h % size


def the_first_bytes(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in history[:order]:
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h % size


def short_history_padded(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in history.rjust(order, b"\0")[max(len(history) - order, 0) :]:
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h % size


def counted_from_the_end(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in history[len(history) - order :]:
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h % size


def cut_to_31_bits(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in history[max(len(history) - order, 0) :]:
        h = ((h ^ byte) * 0x01000193) & 0x7FFFFFFF
    return h % size


# Slips: recognised, and not handed in by the tests.


def _context(history: bytes, order: int) -> bytes:
    return history[max(len(history) - order, 0) :]


def begins_with_0(history: bytes, order: int, size: int) -> int:
    h = 0
    for byte in _context(history, order):
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h % size


def remainder_at_each_byte(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in _context(history, order):
        h = (((h ^ byte) * 0x01000193) & 0xFFFFFFFF) % size
    return h % size


def added(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in _context(history, order):
        h = ((h + byte) * 0x01000193) & 0xFFFFFFFF
    return h % size


def multiplied_before_the_xor(history: bytes, order: int, size: int) -> int:
    h = 0x811C9DC5
    for byte in _context(history, order):
        h = h ^ byte * 0x01000193 & 0xFFFFFFFF
    return h % size


def no_remainder(history: bytes, order: int, size: int) -> int:
    return slot(history, order, 1 << 32)


def the_whole_history(history: bytes, order: int, size: int) -> int:
    return slot(history, len(history), size)


def place_0_for_order_0(history: bytes, order: int, size: int) -> int:
    return slot(history, order, size) if order else 0


def place_0_for_a_short_history(history: bytes, order: int, size: int) -> int:
    return slot(history, order, size) if len(history) >= order else 0


def _history(generator: Generator, n: int) -> bytes:
    return bytes(torch.randint(97, 123, (n,), generator=generator).tolist())


def _cases(generator: Generator, plan: list[tuple[int, int, int]]) -> list[Case]:
    cases = []
    for n, order, size in plan:
        history = _history(generator, n)
        says = f"{history!r}, order {order}, {size:,} slots"
        cases.append(Case((history, order, size), says))
    return cases


def _values(generator: Generator) -> list[Case]:
    return _cases(generator, [(7, 2, 1000), (8, 3, 1 << 20), *[(9, 5, 999_983)] * 8])


def _order_0(generator: Generator) -> list[Case]:
    return _cases(generator, [(4, 0, 1000), (6, 0, 50_000)])


def _short(generator: Generator) -> list[Case]:
    nothing = Case((b"", 3, 1000), "b'', order 3, 1,000 slots", only=True)
    return [nothing, *_cases(generator, [(2, 4, 1000), (5, 6, 50_000)])]


SLOT = Exercise(
    name="c/slot",
    title="Find the bug: the decoder looks elsewhere",
    difficulty=2,
    minutes=15,
    reference=slot,
    parts=(
        Part("some last bytes", 2, _values),
        Part("order 0", 1, _order_0),
        Part("a history that is shorter than the order", 1, _short),
    ),
    misconceptions=(
        Misconception(
            salted,
            "Python salts the hash of bytes anew in each process, and the decoder is "
            "another one: count it out yourself.",
        ),
        Misconception(
            all_of_it_for_order_0,
            "`history[-0:]` is the whole history: order 0 must see nothing of it.",
        ),
        Misconception(
            multiplied_first,
            "You multiply, then xor: that is FNV-1. FNV-1a takes the byte in first.",
        ),
        Misconception(
            never_masked,
            "The number is never cut to 32 bits: it grows with the order, and other "
            "bits decide the slot.",
        ),
        Misconception(
            mask_in_place_of_modulo,
            "`& (size - 1)` is the remainder only where size is a power of two: take "
            "`% size`.",
        ),
        Misconception(
            newest_first,
            "The bytes go in from the oldest to the newest; yours run backwards.",
        ),
        Misconception(
            the_first_bytes,
            "These are the *first* bytes of the history: the context is what came "
            "last.",
        ),
        Misconception(
            short_history_padded,
            "A short history is filled up with zeros, which is a context of its own: "
            "take the bytes that there are.",
        ),
        Misconception(
            counted_from_the_end,
            "Where the history is shorter than the order, len(history) − order is "
            "negative, and Python counts that from the end: take 0 instead.",
        ),
        Misconception(
            cut_to_31_bits,
            "You keep 31 bits: the lowest 32 are `& 0xFFFFFFFF`, or `% 2**32`.",
        ),
    ),
    slips=(
        Misconception(
            begins_with_0,
            "You begin with 0: FNV-1a begins with 0x811C9DC5.",
        ),
        Misconception(
            remainder_at_each_byte,
            "You take the remainder by `size` after each byte: once, at the end.",
        ),
        Misconception(added, "You add the byte: xor it in, `h ^ byte`."),
        Misconception(
            multiplied_before_the_xor,
            "`*` binds closer than `^`: you multiply the byte alone. Put `h ^ byte` in "
            "parentheses.",
        ),
        Misconception(
            no_remainder, "The remainder by `size` is missing: the table ends there."
        ),
        Misconception(
            the_whole_history,
            "You take in the whole history: the context is its last `order` bytes.",
        ),
        Misconception(
            place_0_for_order_0,
            "Order 0 has a slot like the others: that of no bytes at all, the number "
            "that you begin with.",
        ),
        Misconception(
            place_0_for_a_short_history,
            "A short history has a slot of its own: take in what there is.",
        ),
    ),
    hints=(
        "Run the given function in two processes: `python -c` twice.",
        "FNV-1a begins with 0x811C9DC5; for each byte: xor, then times 0x01000193, "
        "then the lowest 32 bits.",
        "What is `history[-order:]` for order 0?",
    ),
)


# -- dictionary_pays ------------------------------------------------------------------


def dictionary_pays(saved: list[int], dictionary: bytes) -> int:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    return sum(saved) - len(lzma.compress(dictionary, lzma.FORMAT_RAW, filters=filters))


def counted_plain(saved: list[int], dictionary: bytes) -> int:
    return sum(saved) - len(dictionary)


def once_for_each_text(saved: list[int], dictionary: bytes) -> int:
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    size = len(lzma.compress(dictionary, lzma.FORMAT_RAW, filters=filters))
    return sum(saved) - size * len(saved)


def worse_texts_left_out(saved: list[int], dictionary: bytes) -> int:
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    size = len(lzma.compress(dictionary, lzma.FORMAT_RAW, filters=filters))
    return sum(s for s in saved if s > 0) - size


def in_bits(saved: list[int], dictionary: bytes) -> int:
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    size = len(lzma.compress(dictionary, lzma.FORMAT_RAW, filters=filters))
    return 8 * (sum(saved) - size)


def best_text_alone(saved: list[int], dictionary: bytes) -> int:
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    size = len(lzma.compress(dictionary, lzma.FORMAT_RAW, filters=filters))
    return max(saved) - size


def with_the_container(saved: list[int], dictionary: bytes) -> int:
    import lzma

    return sum(saved) - len(lzma.compress(dictionary, preset=9 | lzma.PRESET_EXTREME))


def dictionary_left_out(saved: list[int], dictionary: bytes) -> int:
    return sum(saved)


def never_negative(saved: list[int], dictionary: bytes) -> int:
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    size = len(lzma.compress(dictionary, lzma.FORMAT_RAW, filters=filters))
    return max(sum(saved) - size, 0)


# Slips: recognised, and not handed in by the tests.


def _weight(dictionary: bytes) -> int:
    return -dictionary_pays([], dictionary)


def sign_turned(saved: list[int], dictionary: bytes) -> int:
    return _weight(dictionary) - sum(saved)


def dictionary_added(saved: list[int], dictionary: bytes) -> int:
    return sum(saved) + _weight(dictionary)


def losses_for_gains(saved: list[int], dictionary: bytes) -> int:
    return sum(map(abs, saved)) - _weight(dictionary)


def mean_of_the_texts(saved: list[int], dictionary: bytes) -> float:
    return sum(saved) / len(saved) - _weight(dictionary)


def packed_by_zlib(saved: list[int], dictionary: bytes) -> int:
    return sum(saved) - len(zlib.compress(dictionary, 9))


def texts_left_out(saved: list[int], dictionary: bytes) -> int:
    return -_weight(dictionary)


def _savings(generator: Generator) -> list[int]:
    saved = torch.randint(20, 400, (5,), generator=generator).tolist()
    saved[draw_integer(generator, 0, 4)] = -draw_integer(generator, 5, 59)
    return saved


def _words(generator: Generator) -> list[Case]:
    cases = []
    for n in (12, 60):
        letters = [_history(generator, 4).decode() for _ in range(n)]
        words = (" ".join(letters + letters)).encode()
        saved = _savings(generator)
        says = f"saved {saved}, and {len(words)} bytes, {words[:20]!r} …"
        cases.append(Case((saved, words), says))
    return cases


def _empty(generator: Generator) -> list[Case]:
    saved = _savings(generator)
    return [Case((saved, b""), f"saved {saved}, and no dictionary")]


def _noise(generator: Generator) -> list[Case]:
    cases = []
    for less in (1, 20):  # the second time it saves less than it weighs
        data = bytes(torch.randint(256, (300,), generator=generator).tolist())
        saved = [s // less for s in _savings(generator)]
        cases.append(Case((saved, data), f"saved {saved}, and 300 random bytes"))
    return cases


DICTIONARY_PAYS = Exercise(
    name="c/dictionary_pays",
    title="Does the dictionary pay?",
    difficulty=1,
    minutes=10,
    reference=dictionary_pays,
    parts=(
        Part("words", 1, _words),
        Part("an empty dictionary", 1, _empty),
        Part("one that cannot be compressed", 1, _noise),
    ),
    misconceptions=(
        Misconception(
            counted_plain,
            "The dictionary is counted plain. The grader packs your source with xz, "
            "and the dictionary with it.",
        ),
        Misconception(
            once_for_each_text,
            "You count the dictionary once for each text: the program is shipped once.",
        ),
        Misconception(
            worse_texts_left_out,
            "A text that became larger counts too: nobody asks which ones the "
            "dictionary was made for.",
        ),
        Misconception(in_bits, "These are bits, eight times too many: bytes."),
        Misconception(
            best_text_alone,
            "You took the best of the texts: add up what all of them save.",
        ),
        Misconception(
            with_the_container,
            "You counted xz's file format with it, some 60 bytes. The grader takes the "
            "raw stream: `format=lzma.FORMAT_RAW`.",
        ),
        Misconception(
            dictionary_left_out,
            "The dictionary itself costs nothing here: it is a part of your program.",
        ),
        Misconception(
            never_negative,
            "You stop at 0. A dictionary that saves less than it weighs loses bytes: "
            "the answer is negative.",
        ),
    ),
    slips=(
        Misconception(
            sign_turned,
            "The sign is turned: what is won is positive, what is lost not.",
        ),
        Misconception(
            dictionary_added,
            "You add what the dictionary weighs: it is a cost, and comes off.",
        ),
        Misconception(
            losses_for_gains,
            "You count a text that became larger as if it had become smaller: leave "
            "out `abs`.",
        ),
        Misconception(
            mean_of_the_texts,
            "You take the mean over the texts: add up what all of them save.",
        ),
        Misconception(
            packed_by_zlib,
            "You pack with zlib. The grader packs with "
            "`lzma.compress(…, lzma.FORMAT_RAW, filters=FILTERS)`.",
        ),
        Misconception(
            texts_left_out, "What the texts save is missing: add it up, too."
        ),
    ),
    hints=(
        "Won is what the texts save together, less what the dictionary weighs.",
        "`lzma.compress(data, lzma.FORMAT_RAW, filters=FILTERS)`.",
    ),
)


# -- predict --------------------------------------------------------------------------


def reference_answers() -> dict[str, Any]:
    return {
        "lowest": "table",
        "highest": "dialogue",
        "as_much": 32,
        "dictionary": "grows",
    }


def _wrong(explanation: str, **answers: object) -> Misconception:
    return Misconception(questions.wrong(reference_answers, **answers), explanation)


PREDICT = Exercise(
    name="c/predict",
    title="Predict, then run",
    difficulty=2,
    minutes=10,
    reference=reference_answers,
    parts=questions.parts(
        {
            "lowest": "`lowest`: the text with the fewest bits a byte",
            "highest": "`highest`: the one with the most",
            "as_much": "`as_much`: the same points once more",
            "dictionary": "`dictionary`: its best size, for twice as many texts",
        },
        "what is to be predicted",
    ),
    misconceptions=(
        _wrong(
            "Three bytes a character look like much, and the first of them is nearly "
            "always the same. But the table repeats its lines, the Analects do not.",
            lowest="chinese",
        ),
        _wrong(
            "Documentation repeats its phrases, but no text repeats itself as a table "
            "does, column by column.",
            lowest="technical",
        ),
        _wrong(
            "A Chinese character says more than a letter, and it has three bytes: by "
            "the *byte* it costs less than English prose.",
            highest="chinese",
        ),
        _wrong(
            "Nearly. A play has verse, many speakers and old words; Alice tells one "
            "story and repeats itself.",
            highest="prose",
        ),
        _wrong(
            "Prose repeats words; a table repeats whole lines, column by column.",
            lowest="prose",
        ),
        _wrong(
            "A play has verse, many speakers and old words: little of it repeats.",
            lowest="dialogue",
        ),
        _wrong(
            "Documentation says the same things in the same words, again and again; no "
            "story does.",
            highest="technical",
        ),
        _wrong(
            "A table repeats its lines, column by column: most of it is known before.",
            highest="table",
        ),
        _wrong(
            "The answer is asked for in per cent, as 50 and 40 are.",
            as_much=0.32,
        ),
        _wrong(
            "40 less 10 is not the same part of it: points go with the logarithm, and "
            "40/50 is 32/40.",
            as_much=30,
        ),
        _wrong(
            "It need not halve again to be given as much again: going from 50 to 40 is "
            "going to 4/5 of it.",
            as_much=20,
        ),
        _wrong(
            "A word in it costs the same once, and is used twice as often: words that "
            "did not pay do now.",
            dictionary="stays",
        ),
        _wrong(
            "More texts share the cost of each word: more words pay, not fewer.",
            dictionary="shrinks",
        ),
    ),
    hints=(
        "How often does a line begin as the one above it does?",
        "Points go with the logarithm of the total.",
        "A word pays when what all texts save by it is more than it weighs.",
    ),
    reveal=False,
)

EXERCISES = [SLOT, DICTIONARY_PAYS, PREDICT]
