"""Section 3.3, steps 1 and 3: dividing examples, and making batches of them."""

from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import Case, Exercise, Function, Misconception, Part
from lmlib.exercises.fine_tuning import slips

# -- split_by_text --------------------------------------------------------------------


def reference_split(
    texts: list[str], draws: list[float], valid: float, test: float
) -> list[str]:
    first: dict[str, float] = {}
    for text, draw in zip(texts, draws, strict=True):
        first.setdefault(text, draw)
    return [
        "test" if first[t] < test else "valid" if first[t] < test + valid else "train"
        for t in texts
    ]


def a_draw_for_each_example(
    texts: list[str], draws: list[float], valid: float, test: float
) -> list[str]:
    return [
        "test" if draw < test else "valid" if draw < test + valid else "train"
        for draw in draws
    ]


def later_ones_left_out(
    texts: list[str], draws: list[float], valid: float, test: float
) -> list[str]:
    seen, parts = set(), []
    for text, draw in zip(texts, draws, strict=True):
        if text not in seen:
            seen.add(text)
            parts.append(
                "test" if draw < test else "valid" if draw < test + valid else "train"
            )
    return parts


def draw_of_the_last(
    texts: list[str], draws: list[float], valid: float, test: float
) -> list[str]:
    draw_of = dict(zip(texts, draws, strict=True))
    return [
        "test"
        if draw_of[t] < test
        else "valid"
        if draw_of[t] < test + valid
        else "train"
        for t in texts
    ]


def draws_of_distinct_texts(
    texts: list[str], draws: list[float], valid: float, test: float
) -> list[str]:
    draw_of = dict(zip(dict.fromkeys(texts), draws, strict=False))
    return [
        "test"
        if draw_of[t] < test
        else "valid"
        if draw_of[t] < test + valid
        else "train"
        for t in texts
    ]


def duplicates_into_train(
    texts: list[str], draws: list[float], valid: float, test: float
) -> list[str]:
    return [
        "train"
        if texts.count(text) > 1 or draw >= test + valid
        else "test"
        if draw < test
        else "valid"
        for text, draw in zip(texts, draws, strict=True)
    ]


def valid_alone(
    texts: list[str], draws: list[float], valid: float, test: float
) -> list[str]:
    first: dict[str, float] = {}
    for text, draw in zip(texts, draws, strict=True):
        first.setdefault(text, draw)
    return [
        "test" if first[t] < test else "valid" if first[t] < valid else "train"
        for t in texts
    ]


def parts_in_words(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: a list of words as one text."""
    value = function(*args)
    if value is None or type(value) is str:
        return value
    if type(value) not in (list, tuple) or any(type(part) is not str for part in value):
        raise TypeError("a list of the words test, valid and train is expected")
    return " ".join(value)


_WORDS = "a good film|no story|fine music|too long|well played|a joy|so dull|try it"


def _draw(generator: Generator, part: str, valid: float, test: float) -> float:
    low, high = {
        "test": (0.0, test),
        "valid": (test, test + valid),
        "train": (test + valid, 1.0),
    }[part]
    share = 0.1 + 0.8 * float(torch.rand((), generator=generator))
    return round(low + share * (high - low), 3)


def _shares(generator: Generator) -> tuple[float, float]:
    """(valid, test): the first the smaller, so that neither stands for the other."""
    valid, more = torch.randint(10, 20, (2,), generator=generator).tolist()
    return valid / 100, (valid + more) / 100


def _split_case(generator: Generator, which: str, parts: list[str]) -> Case:
    order = torch.randperm(8, generator=generator).tolist()
    names = [_WORDS.split("|")[i] for i in order]
    letters = list(dict.fromkeys(which))
    texts = [names[letters.index(letter)] for letter in which]
    valid, test = _shares(generator)
    draws = [_draw(generator, part, valid, test) for part in parts]
    says = f"draws {draws} of the texts {' '.join(which)}, valid {valid}, test {test}"
    return Case((texts, draws, valid, test), says)


def _distinct(generator: Generator) -> list[Case]:
    parts = ["test", "valid", "train", "train", "valid"]
    cases = []
    for _ in range(2):
        order = torch.randperm(5, generator=generator).tolist()
        cases.append(_split_case(generator, "ABCDE", [parts[i] for i in order]))
    return cases


def _duplicates(generator: Generator) -> list[Case]:
    cases = []
    for one, other in (("test", "valid"), ("valid", "test")):
        # A has its three draws in three parts; C's own draw is not that of place 2.
        parts = [one, "train", "train", other, one, other, "valid"]
        cases.append(_split_case(generator, "ABACBAD", parts))
    return cases


SPLIT_BY_TEXT = Exercise(
    name="3.3/split_by_text",
    title="Step 1: a split without leaks",
    difficulty=2,
    minutes=15,
    reference=reference_split,
    parts=(
        Part("texts that are all different", 1, _distinct, parts_in_words),
        Part("texts that occur again", 2, _duplicates, parts_in_words),
    ),
    misconceptions=(
        Misconception(
            a_draw_for_each_example,
            "Each example has a draw of its own, so that equal texts end up on both "
            "sides: the test set has been read in training.",
            "https://github.com/embeddings-benchmark/mteb/issues/1036",
        ),
        Misconception(
            later_ones_left_out,
            "You leave the later occurrences out, and the parts no longer lie beside "
            "the examples: one part for each example is asked.",
        ),
        Misconception(
            draw_of_the_last,
            "Equal texts share a part, but by the draw of the last of them: a dict "
            "keeps what was written last. The first occurrence decides.",
        ),
        Misconception(
            draws_of_distinct_texts,
            "You count the draws over the distinct texts: they lie beside the "
            "examples, one for each, and those of later occurrences are not used.",
        ),
        Misconception(
            duplicates_into_train,
            "You put every text that occurs again into train: then the other parts "
            "have none such, and measure another kind of text.",
        ),
        Misconception(
            valid_alone,
            "You compare with valid alone: the part for validation lies between test "
            "and test + valid.",
        ),
    ),
    slips=slips.SPLIT_BY_TEXT,
    hints=(
        "Solve it first for texts that are all different: two comparisons a draw.",
        "Go through the texts once and remember for each the draw with which it came "
        "first.",
        "`first.setdefault(text, draw)` writes only if nothing is there yet.",
    ),
)


# -- pad_batch ------------------------------------------------------------------------


def reference_pad(
    rows: list[list[int]], length: int, cls: int, sep: int, pad: int
) -> tuple[Tensor, Tensor]:
    full = [[cls, *row[: length - 2], sep] for row in rows]
    longest = max(map(len, full))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in full])
    lengths = torch.tensor([[len(row)] for row in full])
    return ids, torch.arange(longest) < lengths


def padded_to_length(
    rows: list[list[int]], length: int, cls: int, sep: int, pad: int
) -> tuple[Tensor, Tensor]:
    full = [[cls, *row[: length - 2], sep] for row in rows]
    ids = torch.tensor([row + [pad] * (length - len(row)) for row in full])
    lengths = torch.tensor([[len(row)] for row in full])
    return ids, torch.arange(length) < lengths


def end_cut_off(
    rows: list[list[int]], length: int, cls: int, sep: int, pad: int
) -> tuple[Tensor, Tensor]:
    full = [[cls, *row, sep][:length] for row in rows]
    longest = max(map(len, full))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in full])
    lengths = torch.tensor([[len(row)] for row in full])
    return ids, torch.arange(longest) < lengths


def specials_not_counted(
    rows: list[list[int]], length: int, cls: int, sep: int, pad: int
) -> tuple[Tensor, Tensor]:
    full = [[cls, *row[:length], sep] for row in rows]
    longest = max(map(len, full))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in full])
    lengths = torch.tensor([[len(row)] for row in full])
    return ids, torch.arange(longest) < lengths


def mask_by_the_pad_id(
    rows: list[list[int]], length: int, cls: int, sep: int, pad: int
) -> tuple[Tensor, Tensor]:
    full = [[cls, *row[: length - 2], sep] for row in rows]
    longest = max(map(len, full))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in full])
    return ids, ids != pad


def padded_on_the_left(
    rows: list[list[int]], length: int, cls: int, sep: int, pad: int
) -> tuple[Tensor, Tensor]:
    full = [[cls, *row[: length - 2], sep] for row in rows]
    longest = max(map(len, full))
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in full])
    lengths = torch.tensor([[len(row)] for row in full])
    return ids, torch.arange(longest) >= longest - lengths


def padded_with_0(
    rows: list[list[int]], length: int, cls: int, sep: int, pad: int
) -> tuple[Tensor, Tensor]:
    full = [[cls, *row[: length - 2], sep] for row in rows]
    longest = max(map(len, full))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in full])
    lengths = torch.tensor([[len(row)] for row in full])
    return ids, torch.arange(longest) < lengths


def true_for_padding(
    rows: list[list[int]], length: int, cls: int, sep: int, pad: int
) -> tuple[Tensor, Tensor]:
    full = [[cls, *row[: length - 2], sep] for row in rows]
    longest = max(map(len, full))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in full])
    lengths = torch.tensor([[len(row)] for row in full])
    return ids, torch.arange(longest) >= lengths


def _of_the_pair(index: int) -> Any:
    """For `Part.observe`: one of two tensors."""

    def observe(function: Function, args: tuple[Any, ...]) -> Any:
        value = function(*args)
        if value is None:
            return None
        if type(value) not in (tuple, list) or len(value) != 2:
            raise TypeError("a pair (ids, mask) is expected")
        return value[index]

    return observe


def _batch(generator: Generator, lengths: list[int], length: int) -> Case:
    """Rows in which the id of padding occurs; that is not 0."""
    cls, sep, pad = (torch.randperm(5, generator=generator)[:3] + 1).tolist()
    rows = [
        [pad, *torch.randint(6, 60, (n - 1,), generator=generator).tolist()]
        for n in lengths
    ]
    says = f"rows = {rows}, length = {length}, cls = {cls}, sep = {sep}, pad = {pad}"
    return Case((rows, length, cls, sep, pad), says)


def _short(generator: Generator) -> list[Case]:
    more = int(torch.randint(0, 3, (1,), generator=generator))
    return [
        _batch(generator, [3, 1], 9 + more),
        _batch(generator, [1, 4, 2], 12 + more),
    ]


def _long(generator: Generator) -> list[Case]:
    length = int(torch.randint(5, 8, (1,), generator=generator))
    return [
        _batch(generator, [length - 2, length - 1, 2], length),
        _batch(generator, [length + 4, 1, length], length),
    ]


PAD_BATCH = Exercise(
    name="3.3/pad_batch",
    title="Step 3: inputs",
    difficulty=2,
    minutes=15,
    reference=reference_pad,
    parts=(
        Part("ids of rows that fit", 1, _short, _of_the_pair(0)),
        Part("ids of rows that are too long", 1, _long, _of_the_pair(0)),
        Part("the mask", 1, _short, _of_the_pair(1)),
    ),
    misconceptions=(
        Misconception(
            padded_to_length,
            "You pad to `length`: the longest row of the batch is enough, and every "
            "position more costs time in each layer.",
        ),
        Misconception(
            end_cut_off,
            "You cut after [SEP] was added, and a long row has no end: cut the row to "
            "length − 2, then add the two.",
        ),
        Misconception(
            specials_not_counted,
            "Your long rows have length + 2 tokens: [CLS] and [SEP] count too.",
        ),
        Misconception(
            mask_by_the_pad_id,
            "You take every `pad` for padding, but the text may hold that id (GPT-2 "
            "pads with its end token): make the mask from the lengths.",
            "https://github.com/huggingface/trl/pull/6357",
        ),
        Misconception(
            padded_on_the_left,
            "You pad on the left, so that [CLS] is no longer at position 0, where the "
            "head looks for it.",
        ),
        Misconception(
            padded_with_0, "You pad with 0: the id of padding is the argument `pad`."
        ),
        Misconception(
            true_for_padding,
            "Your mask is True for padding: it is True for what is to be seen.",
        ),
    ),
    slips=slips.PAD_BATCH,
    hints=(
        "First make the full rows as lists: cls, what fits of the row, sep.",
        "The width of the batch is the length of the longest full row.",
        "`torch.arange(width) < lengths`, with the lengths as a column, is the mask.",
    ),
)


EXERCISES = [SPLIT_BY_TEXT, PAD_BATCH]
