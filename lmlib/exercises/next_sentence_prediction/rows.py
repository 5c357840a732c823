"""Section 3.2.2: where B comes from, the row of a pair, a bug in making pairs."""

from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    error_type,
)

# -- other_document -------------------------------------------------------------------


def reference_other(own: Tensor, draws: Tensor, n_documents: int) -> Tensor:
    if n_documents < 2:
        raise ValueError(f"n_documents must be at least 2, got {n_documents}")
    return draws + (draws >= own)


def any_document(own: Tensor, draws: Tensor, n_documents: int) -> Tensor:
    if n_documents < 2:
        raise ValueError("n_documents")
    return draws.clone()


def neighbour_twice(own: Tensor, draws: Tensor, n_documents: int) -> Tensor:
    if n_documents < 2:
        raise ValueError("n_documents")
    return torch.where(draws == own, (own + 1) % n_documents, draws)


def never_the_first(own: Tensor, draws: Tensor, n_documents: int) -> Tensor:
    if n_documents < 2:
        raise ValueError("n_documents")
    return draws + 1


def own_at_draw_zero(own: Tensor, draws: Tensor, n_documents: int) -> Tensor:
    if n_documents < 2:
        raise ValueError("n_documents")
    return (own + draws) % n_documents


def first_for_own(own: Tensor, draws: Tensor, n_documents: int) -> Tensor:
    if n_documents < 2:
        raise ValueError("n_documents")
    return torch.where(draws == own, 0, draws)


def one_too_strict(own: Tensor, draws: Tensor, n_documents: int) -> Tensor:
    if n_documents < 2:
        raise ValueError("n_documents")
    return draws + (draws > own)


def always_the_next(own: Tensor, draws: Tensor, n_documents: int) -> Tensor:
    if n_documents < 2:
        raise ValueError("n_documents")
    return (own + 1) % n_documents


def one_less_for_own(own: Tensor, draws: Tensor, n_documents: int) -> Tensor:
    if n_documents < 2:
        raise ValueError("n_documents")
    return torch.where(draws == own, draws - 1, draws)


def no_error_for_one(own: Tensor, draws: Tensor, n_documents: int) -> Tensor:
    return draws + (draws >= own)


def _all_draws(generator: Generator, n_documents: int) -> Case:
    """Every own document with every draw, in a random order."""
    own = torch.arange(n_documents).repeat_interleave(n_documents - 1)
    draws = torch.arange(n_documents - 1).repeat(n_documents)
    order = torch.randperm(len(own), generator=generator)
    says = f"{n_documents} documents, every `own` with every draw"
    return Case((own[order], draws[order], n_documents), says)


def _few_documents(generator: Generator) -> list[Case]:
    return [_all_draws(generator, n) for n in (3, 4)]


def _more_documents(generator: Generator) -> list[Case]:
    more = int(torch.randint(5, 9, (1,), generator=generator))
    return [_all_draws(generator, 4), _all_draws(generator, more)]


def _too_few(generator: Generator) -> list[Case]:
    own = torch.zeros(2, dtype=torch.int64)
    return [Case((own, own.clone(), 1), "n_documents = 1", only=True)]


def _is_another(function: Function, args: tuple[Any, ...]) -> Any:
    """Whether each result is a document and not the own one."""
    own, _, n_documents = args
    found = function(*args)
    if type(found) is not Tensor or (found.shape, found.dtype) != (
        own.shape,
        own.dtype,
    ):
        return found
    return (found != own) & (found >= 0) & (found < n_documents)


def _of_each(function: Function, args: tuple[Any, ...]) -> Any:
    """For each own document what comes of all draws, sorted: any mapping will do."""
    own, _, n_documents = args
    found = function(*args)
    if type(found) is not Tensor or (found.shape, found.dtype) != (
        own.shape,
        own.dtype,
    ):
        return found
    return torch.stack([found[own == d].sort().values for d in range(n_documents)])


OTHER_DOCUMENT = Exercise(
    name="3.2.2/other_document",
    title="A document that is not the own one",
    difficulty=2,
    minutes=10,
    reference=reference_other,
    parts=(
        Part("never the own document", 1, _few_documents, _is_another),
        Part("each of the others alike", 2, _more_documents, _of_each),
        Part("a single document: ValueError", 1, _too_few, error_type),
    ),
    misconceptions=(
        Misconception(
            any_document,
            "The own document can come out. The pair is then labelled random though B "
            "may well follow A.",
            "https://github.com/NVIDIA/DeepLearningExamples/issues/421",
        ),
        Misconception(
            neighbour_twice,
            "Where the draw is the own document you take its neighbour, which is drawn "
            "for itself as well: it comes twice as often as the others. (And the last "
            "document never comes at all.)",
        ),
        Misconception(
            never_the_first,
            "Adding 1 to every draw leaves document 0 out, and hits the own document "
            "where the draw is one below it.",
        ),
        Misconception(
            own_at_draw_zero,
            "Going `draws` steps on from the own document stays there for draw 0: go "
            "one step more.",
        ),
        Misconception(
            first_for_own,
            "Where the draw is the own document you take document 0, which is drawn "
            "for itself as well (and is the own one for the first document). Which "
            "number does `draws` never take?",
        ),
        Misconception(
            one_too_strict,
            "A draw equal to the own document stays there: it has to be passed over, "
            "so compare with >=.",
        ),
        Misconception(
            always_the_next,
            "You ignore the draw: the other document is always the neighbour.",
        ),
        Misconception(
            no_error_for_one,
            "With one document there is no other one: raise a ValueError.",
        ),
    ),
    slips=(
        Misconception(
            one_less_for_own,
            "Where the draw is the own document you take the one before it, which is "
            "drawn for itself as well (and is −1 for the first). Which number does "
            "`draws` never take?",
        ),
    ),
    hints=(
        "There are D − 1 numbers to draw and D − 1 other documents: give each draw one "
        "document.",
        "Think of the documents without the own one, closed up to a row.",
        "Draws below `own` stay as they are; the others move up by one.",
    ),
)


# -- pack_pair ------------------------------------------------------------------------


def reference_pack(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    if length < 5:
        raise ValueError(f"length must be at least 5, got {length}")
    a, b = list(a), list(b)
    while len(a) + len(b) > length - 3:
        (a if len(a) > len(b) else b).pop()
    cls, sep, pad = special["cls"], special["sep"], special["pad"]
    tokens = [cls, *a, sep, *b, sep]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor(tokens + [pad] * padding),
        "segment_ids": torch.tensor(segments + [0] * padding),
        "attention_mask": torch.arange(length) < len(tokens),
    }


def no_last_sep(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    if length < 5:
        raise ValueError(f"length must be at least 5, got {length}")
    a, b = list(a), list(b)
    while len(a) + len(b) > length - 3:
        (a if len(a) > len(b) else b).pop()
    cls, sep, pad = special["cls"], special["sep"], special["pad"]
    tokens = [cls, *a, sep, *b]
    segments = [0] * (len(a) + 2) + [1] * len(b)
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor(tokens + [pad] * padding),
        "segment_ids": torch.tensor(segments + [0] * padding),
        "attention_mask": torch.arange(length) < len(tokens),
    }


def sep_in_segment_1(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    if length < 5:
        raise ValueError(f"length must be at least 5, got {length}")
    a, b = list(a), list(b)
    while len(a) + len(b) > length - 3:
        (a if len(a) > len(b) else b).pop()
    cls, sep, pad = special["cls"], special["sep"], special["pad"]
    tokens = [cls, *a, sep, *b, sep]
    segments = [0] * (len(a) + 1) + [1] * (len(b) + 2)
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor(tokens + [pad] * padding),
        "segment_ids": torch.tensor(segments + [0] * padding),
        "attention_mask": torch.arange(length) < len(tokens),
    }


def padding_in_segment_1(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    if length < 5:
        raise ValueError(f"length must be at least 5, got {length}")
    a, b = list(a), list(b)
    while len(a) + len(b) > length - 3:
        (a if len(a) > len(b) else b).pop()
    cls, sep, pad = special["cls"], special["sep"], special["pad"]
    tokens = [cls, *a, sep, *b, sep]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor(tokens + [pad] * padding),
        "segment_ids": torch.tensor(segments + [1] * padding),
        "attention_mask": torch.arange(length) < len(tokens),
    }


def only_b_is_cut(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    if length < 5:
        raise ValueError(f"length must be at least 5, got {length}")
    a = a[: length - 4]
    b = b[: max(length - 3 - len(a), 1)]
    cls, sep, pad = special["cls"], special["sep"], special["pad"]
    tokens = [cls, *a, sep, *b, sep]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor(tokens + [pad] * padding),
        "segment_ids": torch.tensor(segments + [0] * padding),
        "attention_mask": torch.arange(length) < len(tokens),
    }


def cut_when_packed(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    if length < 5:
        raise ValueError(f"length must be at least 5, got {length}")
    cls, sep, pad = special["cls"], special["sep"], special["pad"]
    tokens = [cls, *a, sep, *b, sep]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor((tokens + [pad] * padding)[:length]),
        "segment_ids": torch.tensor((segments + [0] * padding)[:length]),
        "attention_mask": torch.arange(length) < len(tokens),
    }


def mask_of_padding(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    if length < 5:
        raise ValueError(f"length must be at least 5, got {length}")
    a, b = list(a), list(b)
    while len(a) + len(b) > length - 3:
        (a if len(a) > len(b) else b).pop()
    cls, sep, pad = special["cls"], special["sep"], special["pad"]
    tokens = [cls, *a, sep, *b, sep]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor(tokens + [pad] * padding),
        "segment_ids": torch.tensor(segments + [0] * padding),
        "attention_mask": torch.arange(length) >= len(tokens),
    }


def both_cut_to_half(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    if length < 5:
        raise ValueError(f"length must be at least 5, got {length}")
    half = (length - 3) // 2
    a, b = a[:half], b[: length - 3 - half]
    cls, sep, pad = special["cls"], special["sep"], special["pad"]
    tokens = [cls, *a, sep, *b, sep]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor(tokens + [pad] * padding),
        "segment_ids": torch.tensor(segments + [0] * padding),
        "attention_mask": torch.arange(length) < len(tokens),
    }


def half_for_b_first(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    if length < 5:
        raise ValueError(f"length must be at least 5, got {length}")
    b = b[: (length - 3) // 2]
    a = a[: length - 3 - len(b)]
    cls, sep, pad = special["cls"], special["sep"], special["pad"]
    tokens = [cls, *a, sep, *b, sep]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor(tokens + [pad] * padding),
        "segment_ids": torch.tensor(segments + [0] * padding),
        "attention_mask": torch.arange(length) < len(tokens),
    }


def a_is_cut_if_equal(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    if length < 5:
        raise ValueError(f"length must be at least 5, got {length}")
    a, b = list(a), list(b)
    while len(a) + len(b) > length - 3:
        (a if len(a) >= len(b) else b).pop()
    cls, sep, pad = special["cls"], special["sep"], special["pad"]
    tokens = [cls, *a, sep, *b, sep]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor(tokens + [pad] * padding),
        "segment_ids": torch.tensor(segments + [0] * padding),
        "attention_mask": torch.arange(length) < len(tokens),
    }


def cut_at_the_front(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    if length < 5:
        raise ValueError(f"length must be at least 5, got {length}")
    a, b = list(a), list(b)
    while len(a) + len(b) > length - 3:
        (a if len(a) > len(b) else b).pop(0)
    cls, sep, pad = special["cls"], special["sep"], special["pad"]
    tokens = [cls, *a, sep, *b, sep]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor(tokens + [pad] * padding),
        "segment_ids": torch.tensor(segments + [0] * padding),
        "attention_mask": torch.arange(length) < len(tokens),
    }


def any_length(
    a: list[int], b: list[int], length: int, special: dict[str, int]
) -> dict[str, Tensor]:
    a, b = list(a), list(b)
    while len(a) + len(b) > max(length - 3, 2):
        (a if len(a) > len(b) else b).pop()
    cls, sep, pad = special["cls"], special["sep"], special["pad"]
    tokens = [cls, *a, sep, *b, sep]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    length = max(length, 5)
    padding = length - len(tokens)
    return {
        "token_ids": torch.tensor(tokens + [pad] * padding),
        "segment_ids": torch.tensor(segments + [0] * padding),
        "attention_mask": torch.arange(length) < len(tokens),
    }


def _ids(generator: Generator, n: int) -> list[int]:
    return torch.randint(10, 100, (n,), generator=generator).tolist()


def _pair(generator: Generator, n_a: int, n_b: int, length: int) -> Case:
    cls, sep, pad = (torch.randperm(9, generator=generator)[:3] + 1).tolist()
    special = {"cls": cls, "sep": sep, "pad": pad}
    says = f"{n_a} tokens of A, {n_b} of B, length {length}, special = {special}"
    return Case((_ids(generator, n_a), _ids(generator, n_b), length, special), says)


def _random(generator: Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high, (1,), generator=generator))


def _fits(generator: Generator) -> list[Case]:
    a, b = _random(generator, 2, 4), _random(generator, 4, 6)
    return [_pair(generator, a, b, a + b + 3), _pair(generator, 1, 1, 5)]


def _too_long(generator: Generator) -> list[Case]:
    long = _random(generator, 9, 14)
    even = _random(generator, 6, 8)
    return [
        _pair(generator, even, even, 2 * even),  # an odd number is cut
        _pair(generator, long, 3, 10),
        _pair(generator, 3, long, 10),
        _pair(generator, long, long + 2, 12),
    ]


def _padded(generator: Generator) -> list[Case]:
    a, b = _random(generator, 2, 5), _random(generator, 2, 5)
    return [_pair(generator, a, b, a + b + 3 + _random(generator, 1, 5))]


def _no_room(generator: Generator) -> list[Case]:
    return [_pair(generator, 2, 2, 4)]


KEYS = ("token_ids", "segment_ids", "attention_mask")


def _as_rows(function: Function, args: tuple[Any, ...]) -> Any:
    """The three rows as one tensor [3, length]."""
    row = function(*args)
    if not isinstance(row, dict) or any(key not in row for key in KEYS):
        given = list(row) if isinstance(row, dict) else type(row).__name__
        raise TypeError(f"a dict of {', '.join(KEYS)} is expected, got {given}")
    rows = [torch.as_tensor(row[key]).long().flatten() for key in KEYS]
    if len({len(values) for values in rows}) > 1:
        lengths = ", ".join(f"{k} {len(v)}" for k, v in zip(KEYS, rows, strict=True))
        raise ValueError(f"the three must have one length, got {lengths}")
    return torch.stack(rows)


PACK_PAIR = Exercise(
    name="3.2.2/pack_pair",
    title="A and B in one row",
    difficulty=3,
    minutes=25,
    reference=reference_pack,
    parts=(
        Part("a pair that fits", 1, _fits, _as_rows),
        Part("a pair that is too long", 2, _too_long, _as_rows),
        Part("a pair that is padded", 1, _padded, _as_rows),
        Part("no room for two tokens: ValueError", 1, _no_room, error_type),
    ),
    misconceptions=(
        Misconception(
            no_last_sep,
            "The last [SEP] is missing: BERT has seen one after each segment.",
        ),
        Misconception(
            sep_in_segment_1,
            "The first [SEP] is in segment 1: it ends A and belongs to segment 0.",
        ),
        Misconception(
            padding_in_segment_1,
            "Padding is in segment 1: it is 0 there, as the models were trained "
            "(Google's script fills all three rows up with zeros).",
        ),
        Misconception(
            only_b_is_cut,
            "You cut B to what A leaves over. While the two are too long, the last "
            "token of the *longer* one goes (of B if they are equal).",
        ),
        Misconception(
            cut_when_packed,
            "You packed first and cut the row: the last [SEP], or all of B, is cut "
            "off. Cut A and B before packing them.",
        ),
        Misconception(
            mask_of_padding,
            "The mask is True for padding: it is True for what is real, and may be "
            "attended to.",
        ),
        Misconception(
            both_cut_to_half,
            "Each has half of the room: when one is short, the other may have what it "
            "leaves.",
        ),
        Misconception(
            a_is_cut_if_equal, "Of two equally long ones B loses its last token, not A."
        ),
        Misconception(
            cut_at_the_front, "You cut tokens off the front: the last one goes."
        ),
        Misconception(
            any_length,
            "A row of fewer than 5 has no room for [CLS], two [SEP] and a token each "
            "of A and B: raise a ValueError.",
        ),
    ),
    slips=(
        Misconception(
            half_for_b_first,
            "B is cut to half of the room even where A is short: one may have what the "
            "other leaves. Cut the longer one, token by token.",
        ),
    ),
    hints=(
        "Three places are taken: A and B together may have `length - 3` tokens.",
        "Cut with a loop: `while len(a) + len(b) > length - 3:`, on copies.",
        "Make the real part of each row first, then add what is missing to `length`.",
    ),
)


# -- make_pairs -----------------------------------------------------------------------


def reference_make(
    n_sentences: int, coins: list[int], elsewhere: list[int]
) -> list[tuple[int, int, int]]:
    return [
        (i, elsewhere[i] if coins[i] else i + 1, coins[i])
        for i in range(n_sentences - 1)
    ]


def last_is_always_random(
    n_sentences: int, coins: list[int], elsewhere: list[int]
) -> list[tuple[int, int, int]]:
    made = []
    for i in range(n_sentences):
        if i == n_sentences - 1 or coins[i]:
            made.append((i, elsewhere[i], 1))
        else:
            made.append((i, i + 1, 0))
    return made


def last_with_itself(
    n_sentences: int, coins: list[int], elsewhere: list[int]
) -> list[tuple[int, int, int]]:
    return [
        (i, elsewhere[i], 1) if coins[i] else (i, min(i + 1, n_sentences - 1), 0)
        for i in range(n_sentences)
    ]


def from_the_own_document(
    n_sentences: int, coins: list[int], elsewhere: list[int]
) -> list[tuple[int, int, int]]:
    return [
        (i, elsewhere[i] % n_sentences if coins[i] else i + 1, coins[i])
        for i in range(n_sentences - 1)
    ]


def labels_turned(
    n_sentences: int, coins: list[int], elsewhere: list[int]
) -> list[tuple[int, int, int]]:
    return [
        (i, elsewhere[i] if coins[i] else i + 1, 1 - coins[i])
        for i in range(n_sentences - 1)
    ]


def every_second(
    n_sentences: int, coins: list[int], elsewhere: list[int]
) -> list[tuple[int, int, int]]:
    return [
        (i, elsewhere[i] if coins[i] else i + 1, coins[i])
        for i in range(0, n_sentences - 1, 2)
    ]


def only_true_pairs(
    n_sentences: int, coins: list[int], elsewhere: list[int]
) -> list[tuple[int, int, int]]:
    return [(i, i + 1, 0) for i in range(n_sentences - 1) if not coins[i]]


def partners_swapped(
    n_sentences: int, coins: list[int], elsewhere: list[int]
) -> list[tuple[int, int, int]]:
    return [
        (i, i + 1 if coins[i] else elsewhere[i], coins[i])
        for i in range(n_sentences - 1)
    ]


def last_if_the_coin_says_so(
    n_sentences: int, coins: list[int], elsewhere: list[int]
) -> list[tuple[int, int, int]]:
    made = []
    for i in range(n_sentences):
        if coins[i]:
            made.append((i, elsewhere[i], 1))
        elif i < n_sentences - 1:
            made.append((i, i + 1, 0))
    return made


def _document(generator: Generator, coins: list[int]) -> Case:
    n = len(coins)
    elsewhere = (n + torch.randint(0, 90, (n,), generator=generator)).tolist()
    return Case(
        (n, coins, elsewhere),
        f"{n} sentence{'s' * (n > 1)}, coins = {coins}, elsewhere = {elsewhere}",
    )


def _coins(generator: Generator, n: int) -> list[int]:
    return torch.randint(2, (n,), generator=generator).tolist()


def _short_documents(generator: Generator) -> list[Case]:
    return [_document(generator, coins) for coins in ([0], [1], [0, 0], [1, 0], [0, 1])]


def _all_alike(generator: Generator) -> list[Case]:
    n = _random(generator, 4, 8)
    return [_document(generator, [coin] * n) for coin in (0, 1)]


def _mixed(generator: Generator) -> list[Case]:
    n = _random(generator, 5, 9)
    return [
        _document(generator, [0, 1, *_coins(generator, n), last]) for last in (0, 1)
    ]


def _as_table(function: Function, args: tuple[Any, ...]) -> Any:
    """The list of triples as a tensor [n, 3]."""
    made = function(*args)
    if not isinstance(made, list | tuple):
        return made
    return torch.tensor([list(map(int, triple)) for triple in made]).reshape(-1, 3)


MAKE_PAIRS = Exercise(
    name="3.2.2/make_pairs",
    title="Find the bug: a label that the end of a document tells",
    difficulty=3,
    minutes=25,
    reference=reference_make,
    parts=(
        Part("documents of one and two sentences", 1, _short_documents, _as_table),
        Part("coins that are all alike", 1, _all_alike, _as_table),
        Part("any document", 2, _mixed, _as_table),
    ),
    misconceptions=(
        Misconception(
            last_is_always_random,
            "That is the bug: the last sentence always gets a random B. A model that "
            "sees that A ends a document knows the label, and reads no B. Nothing "
            "follows the last sentence, so it begins no pair.",
            "https://github.com/google-research/albert/issues/234",
        ),
        Misconception(
            last_if_the_coin_says_so,
            "The last sentence still begins a pair where its coin says random, and "
            "never a true one: its label is known from the end of the document.",
        ),
        Misconception(
            last_with_itself,
            "You pair the last sentence with itself: nothing follows it, so it begins "
            "no pair.",
        ),
        Misconception(
            from_the_own_document,
            "You fold `elsewhere` into the own document: that B may be the one that "
            "really follows, under label 1.",
            "https://github.com/codertimo/BERT-pytorch/issues/110",
        ),
        Misconception(labels_turned, "Label 1 means random, and so does a coin of 1."),
        Misconception(
            every_second,
            "You took every second sentence: a sentence may be the B of one pair and "
            "the A of the next.",
        ),
        Misconception(
            only_true_pairs,
            "You left the random pairs out: all labels are 0, and a model that never "
            "looks is always right.",
        ),
    ),
    slips=(
        Misconception(
            partners_swapped,
            "The partners are swapped: a coin of 1 means the sentence from elsewhere.",
        ),
    ),
    hints=(
        "Run `buggy_pairs` on a document of one sentence. Could its label have been "
        "anything else?",
        "Which sentences have one that follows them?",
        "Take those alone, and let the coin decide between `i + 1` and `elsewhere[i]`.",
    ),
)

EXERCISES = [OTHER_DOCUMENT, PACK_PAIR, MAKE_PAIRS]
