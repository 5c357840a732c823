"""Section 2.1: what is held out, and what of it training has seen."""

import hashlib
import re
import zlib
from typing import Any

import torch
from torch import Generator

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    draw_integer,
    plain_number,
)

# -- is_held_out ----------------------------------------------------------------------


def reference_held_out(name: str, share: float) -> bool:
    module = name.partition(":")[0]
    first = hashlib.sha256(module.encode()).digest()[:8]
    return int.from_bytes(first, "big") / 2**64 < share


def none_of_few(name: str, share: float) -> bool:
    return share == 1


def salted(name: str, share: float) -> bool:
    module = name.partition(":")[0]
    return hash(module) % 2**64 / 2**64 < share


def percent(name: str, share: float) -> bool:
    module = name.partition(":")[0]
    digest = hashlib.sha256(module.encode()).hexdigest()
    return int(digest, 16) % 100 < 100 * share


def by_document(name: str, share: float) -> bool:
    first = hashlib.sha256(name.encode()).digest()[:8]
    return int.from_bytes(first, "big") / 2**64 < share


def drawn(name: str, share: float) -> bool:
    import random

    return random.random() < share


def inverted(name: str, share: float) -> bool:
    module = name.partition(":")[0]
    first = hashlib.sha256(module.encode()).digest()[:8]
    return int.from_bytes(first, "big") / 2**64 >= share


def little_endian(name: str, share: float) -> bool:
    module = name.partition(":")[0]
    first = hashlib.sha256(module.encode()).digest()[:8]
    return int.from_bytes(first, "little") / 2**64 < share


def last_bytes(name: str, share: float) -> bool:
    module = name.partition(":")[0]
    last = hashlib.sha256(module.encode()).digest()[-8:]
    return int.from_bytes(last, "big") / 2**64 < share


def one_byte(name: str, share: float) -> bool:
    module = name.partition(":")[0]
    return hashlib.sha256(module.encode()).digest()[0] / 256 < share


def to_the_last_colon(name: str, share: float) -> bool:
    module = name.rpartition(":")[0] or name
    first = hashlib.sha256(module.encode()).digest()[:8]
    return int.from_bytes(first, "big") / 2**64 < share


# Slips: recognised, and not handed in by the tests.


def by_object(name: str, share: float) -> bool:
    first = hashlib.sha256(name.partition(":")[2].encode()).digest()[:8]
    return int.from_bytes(first, "big") / 2**64 < share


def by_package(name: str, share: float) -> bool:
    package = name.partition(":")[0].partition(".")[0]
    first = hashlib.sha256(package.encode()).digest()[:8]
    return int.from_bytes(first, "big") / 2**64 < share


def by_md5(name: str, share: float) -> bool:
    first = hashlib.md5(name.partition(":")[0].encode()).digest()[:8]
    return int.from_bytes(first, "big") / 2**64 < share


def by_sha1(name: str, share: float) -> bool:
    first = hashlib.sha1(name.partition(":")[0].encode()).digest()[:8]
    return int.from_bytes(first, "big") / 2**64 < share


def by_crc(name: str, share: float) -> bool:
    return zlib.crc32(name.partition(":")[0].encode()) / 2**32 < share


def with_the_colon(name: str, share: float) -> bool:
    module, colon, _ = name.partition(":")
    first = hashlib.sha256((module + colon).encode()).digest()[:8]
    return int.from_bytes(first, "big") / 2**64 < share


def by_length(name: str, share: float) -> bool:
    return len(name) % 100 / 100 < share


def signed(name: str, share: float) -> bool:
    module = name.partition(":")[0]
    first = hashlib.sha256(module.encode()).digest()[:8]
    return int.from_bytes(first, "big", signed=True) / 2**64 < share


def of_hex_digits(name: str, share: float) -> bool:
    """Eight hexadecimal digits are four bytes."""
    module = name.partition(":")[0]
    return int(hashlib.sha256(module.encode()).hexdigest()[:8], 16) / 2**64 < share


def in_thousandths(name: str, share: float) -> bool:
    module = name.partition(":")[0]
    digest = hashlib.sha256(module.encode()).hexdigest()
    return int(digest, 16) % 1000 < 1000 * share


_UNSURE = "two answers to the same question"


def _answers(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: the answers for all names, each asked for twice."""
    names, share = args
    given = [[plain_number(function(name, share)) for name in names] for _ in range(2)]
    for value in given[0]:
        if not isinstance(value, bool):
            kind = type(value).__name__
            raise TypeError(f"True or False is expected, got a {kind}")
    return _UNSURE if given[0] != given[1] else torch.tensor(given[0])


def _word(generator: Generator) -> str:
    letters = torch.randint(26, (draw_integer(generator, 5, 8),), generator=generator)
    return "".join(chr(97 + i) for i in letters.tolist())


def _module(generator: Generator) -> str:
    return f"{_word(generator)}.{_word(generator)}"


def _object(generator: Generator) -> str:
    return f"{_word(generator)}.{_word(generator)}".title()


def _values(generator: Generator) -> list[Case]:
    cases = []
    for low, high in ((20, 40), (55, 80)):
        names = [f"{_module(generator)}:{_object(generator)}" for _ in range(12)] + [
            _module(generator) for _ in range(8)
        ]
        share = draw_integer(generator, low, high) / 100
        cases.append(Case((names, share), f"20 names, share {share}"))
    return cases


def _shares(generator: Generator) -> list[Case]:
    names = [f"{_module(generator)}:{_object(generator)}" for _ in range(10)]
    # One that a thousandth holds, and some that a hundredth holds by the last digits.
    while not reference_held_out(name := _module(generator), 0.001):
        pass
    few = [*names[:4], name]
    for coarse in (percent, percent, one_byte):
        while True:
            name = _module(generator)
            if coarse(name, 0.001) and not reference_held_out(name, 0.001):
                break
        few.append(name)
    return [
        Case((names, 0.0), "10 names, share 0.0"),
        Case((names, 1.0), "10 names, share 1.0"),
        Case((few, 0.001), "8 names, share 0.001"),
    ]


def _whole(generator: Generator) -> list[Case]:
    # A colon further on, which matters to who looks for the last one.
    while True:
        module = _module(generator)
        twice = f"{module}:{_object(generator)}:again"
        if to_the_last_colon(twice, 0.5) != reference_held_out(twice, 0.5):
            break
    modules = [module, *(_module(generator) for _ in range(7))]
    names = [f"{module}:{_object(generator)}" for module in modules for _ in range(3)]
    names[0] = twice
    return [Case((names, 0.5), "8 modules, 3 docstrings each, share 0.5")]


IS_HELD_OUT = Exercise(
    name="2.1/is_held_out",
    title="The same split tomorrow",
    difficulty=2,
    minutes=15,
    reference=reference_held_out,
    parts=(
        Part("names of docstrings and of modules", 1, _values, _answers),
        Part("shares 0, 0.001 and 1", 1, _shares, _answers, beside_a_value=True),
        Part("modules stay whole", 1, _whole, _answers),
    ),
    misconceptions=(
        Misconception(
            none_of_few,
            "You hold out none of these names, and some of them are below the share: "
            "is it the module that you hash, in UTF-8, by SHA-256, and do you divide "
            "its first 8 bytes by 2^64?",
        ),
        Misconception(
            salted,
            "Python's `hash` of a text is salted: another process gives another split, "
            "and yesterday's test set is today's training.",
        ),
        Misconception(
            percent,
            "Whole per cents are too coarse: a share of 0.001 holds out a hundredth, "
            "or nothing. Take the number as a fraction of 2^64.",
        ),
        Misconception(
            by_document,
            "You hashed the docstring's name: docstrings of one module, which share "
            "phrases, land on both sides. Hash what stands before the colon.",
        ),
        Misconception(
            drawn,
            "Your answer is drawn by chance: asked twice, it differs. It must depend "
            "on the name and the share alone.",
        ),
        Misconception(
            inverted,
            "That is the training set: held out is what is *below* the share.",
        ),
        Misconception(
            little_endian,
            "The bytes are read from the wrong end: the first is the highest, "
            '`int.from_bytes(…, "big")`.',
        ),
        Misconception(
            one_byte,
            "One byte tells 256 shares apart, which is too coarse: a share of 0.001 "
            "holds out a 256th. Take the first 8 bytes.",
        ),
        Misconception(
            last_bytes, "These are the last 8 bytes of the digest: take the first 8."
        ),
        Misconception(to_the_last_colon, "The module ends at the *first* colon."),
    ),
    slips=(
        Misconception(
            by_object,
            "You hashed what stands behind the colon. The module is before it.",
        ),
        Misconception(
            by_package,
            "You hashed the package, the part before the first dot: a module is all "
            "that stands before the colon.",
        ),
        Misconception(by_md5, "This is MD5. SHA-256 is asked for."),
        Misconception(by_sha1, "This is SHA-1. SHA-256 is asked for."),
        Misconception(by_crc, "This is a CRC. SHA-256 is asked for."),
        Misconception(
            with_the_colon,
            "The colon is hashed with the module: a name without one, which is the "
            "module itself, would then be elsewhere.",
        ),
        Misconception(by_length, "The length of a name says little. Hash it."),
        Misconception(signed, "The 8 bytes are a number without a sign, 0 … 2^64 − 1."),
        Misconception(
            of_hex_digits,
            "Everything is held out. Is your number too small? Eight hexadecimal "
            "digits are four bytes, and four bytes over 2^64 are next to 0.",
        ),
        Misconception(
            in_thousandths,
            "Thousandths are coarse, too, and the last digits are not the first 8 "
            "bytes. Take these as a fraction of 2^64.",
        ),
    ),
    hints=(
        '`name.partition(":")[0]` is the module, with and without a colon.',
        "`hashlib.sha256(….encode()).digest()` has 32 bytes.",
        '`int.from_bytes(…, "big") / 2**64` lies in 0 … 1: is it below the share?',
    ),
)


# -- containment ----------------------------------------------------------------------


def reference_containment(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own = runs(test)
    return len(own & runs(train)) / len(own) if own else 0.0


def jaccard(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own, other = runs(test), runs(train)
    return len(own & other) / len(own | other) if own else 0.0


def share_of_training(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own, other = runs(test), runs(train)
    return len(own & other) / len(other) if own and other else 0.0


def bag_of_words(test: str, train: str, n: int) -> float:
    own = set(re.findall(r"\w+", test.casefold()))
    other = set(re.findall(r"\w+", train.casefold()))
    return len(own & other) / len(own) if own else 0.0


def characters(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[str]:
        text = text.casefold()
        return {text[i : i + n] for i in range(len(text) - n + 1)}

    own = runs(test)
    return len(own & runs(train)) / len(own) if own else 0.0


def with_repeats(test: str, train: str, n: int) -> float:
    def runs(text: str) -> list[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]

    own, other = runs(test), set(runs(train))
    return sum(run in other for run in own) / len(own) if own else 0.0


def case_counts(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text)
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own = runs(test)
    return len(own & runs(train)) / len(own) if own else 0.0


def punctuation_sticks(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = text.casefold().split()
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own = runs(test)
    return len(own & runs(train)) / len(own) if own else 0.0


def apostrophes_are_letters(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"[\w']+", text.casefold())
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own = runs(test)
    return len(own & runs(train)) / len(own) if own else 0.0


def short_texts_are_runs(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        if 0 < len(words) < n:
            return {tuple(words)}
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own = runs(test)
    return len(own & runs(train)) / len(own) if own else 0.0


def divides_by_zero(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own = runs(test)
    return len(own & runs(train)) / len(own)


def substrings(test: str, train: str, n: int) -> float:
    words = re.findall(r"\w+", test.casefold())
    own = {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}
    if not own:
        return 0.0
    text = " ".join(re.findall(r"\w+", train.casefold()))
    return sum(" ".join(run) in text for run in own) / len(own)


def smaller_of_both(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own, other = runs(test), runs(train)
    return len(own & other) / min(len(own), len(other)) if own and other else 0.0


# Slips: recognised, and not handed in by the tests.


def glued(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[str]:
        words = re.findall(r"\w+", text.casefold())
        return {"".join(words[i : i + n]) for i in range(len(words) - n + 1)}

    own = runs(test)
    return len(own & runs(train)) / len(own) if own else 0.0


def test_alone_casefolded(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text)
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own = runs(test.casefold())
    return len(own & runs(train)) / len(own) if own else 0.0


def one_more(test: str, train: str, n: int) -> float:
    return reference_containment(test, train, n + 1)


def one_less(test: str, train: str, n: int) -> float:
    return reference_containment(test, train, n - 1)


def turned_round(test: str, train: str, n: int) -> float:
    return 1 - reference_containment(test, train, n)


def last_run_missing(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return {tuple(words[i : i + n]) for i in range(len(words) - n)}

    own = runs(test)
    return len(own & runs(train)) / len(own) if own else 0.0


def in_pieces(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return {tuple(words[i : i + n]) for i in range(0, len(words) - n + 1, n)}

    own = runs(test)
    return len(own & runs(train)) / len(own) if own else 0.0


def without_order(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return {tuple(sorted(words[i : i + n])) for i in range(len(words) - n + 1)}

    own = runs(test)
    return len(own & runs(train)) / len(own) if own else 0.0


def any_shared(test: str, train: str, n: int) -> float:
    return float(reference_containment(test, train, n) > 0)


def how_many(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.casefold())
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    return float(len(runs(test) & runs(train)))


def per_cent(test: str, train: str, n: int) -> float:
    return 100 * reference_containment(test, train, n)


def words_without_digits(test: str, train: str, n: int) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"[a-z]+", text.casefold())
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    own = runs(test)
    return len(own & runs(train)) / len(own) if own else 0.0


def a_number(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: a number as a tensor, which is compared to rounding."""
    value = plain_number(function(*args))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a float is expected, got a {type(value).__name__}")
    return torch.tensor(float(value), dtype=torch.float64)


def _words(generator: Generator, n: int) -> list[str]:
    """All different."""
    words: list[str] = []
    while len(words) < n:
        if (word := _word(generator)) not in words:
            words.append(word)
    return words


def _texts(generator: Generator, n: int) -> tuple[list[str], list[str]]:
    """A test text of which a part, n words and some more, is in training twice over.

    The shared part also stands twice in the test, and training has some of the test's
    other words, in another order.
    """
    common = _words(generator, n + draw_integer(generator, 1, 2))
    own = _words(generator, 5 + n)
    test = [*own[:3], *common, *own[3:], *common]
    train = [
        *_words(generator, 9),
        *common,
        *_words(generator, 4),
        *reversed(own[: 2 + n]),
        *common,
        # No run of the test's, for each ends within a word of training's …
        *own[: n - 1],
        f"{own[n - 1]}s",
        # … or its words are cut elsewhere.
        f"{own[3]}{own[4][0]}",
        own[4][1:],
        *own[5 : 3 + n],
        *_words(generator, 5),
    ]
    return test, train


def _values_of_texts(generator: Generator) -> list[Case]:
    cases = []
    for n in (2, draw_integer(generator, 3, 4)):
        test, train = _texts(generator, n)
        args = (" ".join(test), " ".join(train), n)
        cases.append(Case(args, f"{len(test)} and {len(train)} words, n = {n}"))
    args = (" ".join(train), " ".join(test), n)
    cases.append(Case(args, f"{len(train)} and {len(test)} words, n = {n}"))
    return cases


def _punctuated(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 2, 3)
    test, train = _texts(generator, n)
    # In the first of two copies alone: what is missed there makes other runs.
    titled = [w.title() if i in (3, 4) else w for i, w in enumerate(test)]
    marked = [f"({w})," if i == 4 else w for i, w in enumerate(test)]
    # An apostrophe and a hyphen end a word.
    joined = [*test[:3], f"{test[3]}'{test[4]}-{test[5]}", *test[6:]]
    # Digits and the underscore are of words, too.
    numbered = [f"{w}_{i % 3}" for i, w in enumerate(test[:4])]
    told = [f"{w}_{(i + 1) % 3}" for i, w in enumerate(test[:4])]
    return [
        Case((" ".join(titled), " ".join(train), n), f"capital letters, n = {n}"),
        Case(
            (" ".join(test), " ".join(train).upper(), n),
            f"training in capital letters, n = {n}",
        ),
        Case((" ".join(marked), " ".join(train), n), f"punctuation, n = {n}"),
        Case(
            (" ".join(joined), " ".join(train), n), f"words joined by ' and -, n = {n}"
        ),
        Case(
            (
                " ".join([*numbered, *test[4:]]),
                " ".join([*told, *train]),
                n,
            ),
            f"words with digits, n = {n}",
        ),
    ]


def _short(generator: Generator) -> list[Case]:
    n = draw_integer(generator, 4, 6)
    words = _words(generator, 12)
    few = " ".join(words[: n - 1])
    return [
        Case((few, " ".join(words), n), f"{n - 1} words in the test, n = {n}"),
        Case(("", " ".join(words), n), f"no word in the test, n = {n}"),
        Case((few, few, n), f"{n - 1} words in both, n = {n}"),
        Case((" ".join(words), "", n), f"no word in training, n = {n}"),
    ]


CONTAINMENT = Exercise(
    name="2.1/containment",
    title="How much of the test was in training?",
    difficulty=2,
    minutes=20,
    reference=reference_containment,
    parts=(
        Part("plain texts", 2, _values_of_texts, a_number),
        Part("case and punctuation", 1, _punctuated, a_number),
        Part("texts that are too short", 1, _short, a_number, beside_a_value=True),
    ),
    misconceptions=(
        Misconception(
            jaccard,
            "You divided by the runs of both texts together (Jaccard): a large "
            "training set then hides any leak. Divide by the test's runs.",
        ),
        Misconception(
            share_of_training,
            "You divided by the runs of the training text. The question is what share "
            "of the *test* was seen.",
        ),
        Misconception(
            bag_of_words,
            "Single words are compared, and n is ignored: all English shares its "
            "words. Compare runs of n words.",
        ),
        Misconception(characters, "These are runs of n characters; n counts words."),
        Misconception(
            with_repeats,
            "A run that stands twice in the test counts twice: a line of boilerplate "
            "would weigh as often as it is repeated. Count different runs.",
        ),
        Misconception(
            case_counts,
            '"The" and "the" are one word here: casefold both texts.',
        ),
        Misconception(
            punctuation_sticks,
            '"end" and "end." are one word here: find words by `\\w+`, not by the '
            "spaces between them.",
        ),
        Misconception(
            apostrophes_are_letters,
            '"it\'s" is two words here, "it" and "s": `\\w+` finds no apostrophe.',
        ),
        Misconception(
            substrings,
            "You look for a run as a piece of the training *text*, where it may end "
            "within a word. Compare runs of whole words.",
        ),
        Misconception(
            smaller_of_both,
            "You divided by the runs of the shorter text. The question is what share "
            "of the *test* was seen, whichever is longer.",
        ),
        Misconception(
            short_texts_are_runs,
            "A text of fewer than n words has no run of n words: the share is 0.",
        ),
        Misconception(
            divides_by_zero,
            "A test text without a run makes 0/0: the share is 0 then.",
        ),
    ),
    slips=(
        Misconception(
            glued,
            "Glued together, other words make the same text: compare tuples of words.",
        ),
        Misconception(
            test_alone_casefolded, "The training text is to be casefolded as well."
        ),
        Misconception(one_more, "These are runs of n + 1 words: mind the slice."),
        Misconception(one_less, "These are runs of n − 1 words: mind the slice."),
        Misconception(
            turned_round,
            "That is the share that training has *not* seen.",
        ),
        Misconception(
            last_run_missing,
            "The last run is missing: k words have k − n + 1 runs of n.",
        ),
        Misconception(
            in_pieces,
            "You cut the text into pieces of n words. A run begins at every word.",
        ),
        Misconception(
            without_order,
            "The order within a run is lost: a run is a tuple of words as they stand.",
        ),
        Misconception(
            any_shared, "You said whether they share anything. How much is asked."
        ),
        Misconception(how_many, "You counted the shared runs. Their share is asked."),
        Misconception(per_cent, "These are per cent. A share is in 0 … 1."),
        Misconception(
            words_without_digits,
            "Digits and the underscore are of a word, too: `\\w+`.",
        ),
    ),
    hints=(
        '`re.findall(r"\\w+", text.casefold())` finds the words.',
        "`tuple(words[i : i + n])` is a run, and a set of runs has each once.",
        "How many of the test's different runs are in the set of training's?",
    ),
)

EXERCISES = [IS_HELD_OUT, CONTAINMENT]
