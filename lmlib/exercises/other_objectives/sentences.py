"""Section 3.2.3: what to keep of a sentence, spans, and the order of a pair."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    error_type,
)
from lmlib.objectives import compression


def plain(value: Any) -> Any:
    """Tensors and tuples as lists, True as 1: what is compared is the content."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, bool) else value


def written(function: Function, args: tuple[Any, ...]) -> str | None:
    """For `Part.observe`: lists as text, in which True is 1."""
    value = function(*args)
    return None if value is None else str(plain(value))


def _draw(generator: Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, (1,), generator=generator))


# -- keep_labels ----------------------------------------------------------------------


def reference_keep(sentence: list[str], compressed: list[str]) -> list[bool]:
    return compression.keep_labels(sentence, compressed)


def in_the_set(sentence: list[str], compressed: list[str]) -> list[bool]:
    return [word in set(compressed) for word in sentence]


def waits_for_each_word(sentence: list[str], compressed: list[str]) -> list[bool]:
    keep, j = [], 0
    for word in sentence:
        found = j < len(compressed) and word == compressed[j]
        keep.append(found)
        j += found
    return keep


def substring(sentence: list[str], compressed: list[str]) -> list[bool]:
    import difflib

    matcher = difflib.SequenceMatcher(None, sentence, compressed, autojunk=False)
    block = matcher.find_longest_match()
    return [block.a <= i < block.a + block.size for i in range(len(sentence))]


def longest_block_first(sentence: list[str], compressed: list[str]) -> list[bool]:
    import difflib

    keep = [False] * len(sentence)
    matcher = difflib.SequenceMatcher(None, sentence, compressed, autojunk=False)
    for block in matcher.get_matching_blocks():
        keep[block.a : block.a + block.size] = [True] * block.size
    return keep


def from_the_right(sentence: list[str], compressed: list[str]) -> list[bool]:
    n, m = len(sentence), len(compressed)
    longest = [[0] * (m + 1) for _ in range(n + 1)]
    for i in range(n):
        for j in range(m):
            longest[i + 1][j + 1] = (
                longest[i][j] + 1
                if sentence[i] == compressed[j]
                else max(longest[i][j + 1], longest[i + 1][j])
            )
    keep, i, j = [False] * n, n, m
    while i and j:
        if sentence[i - 1] == compressed[j - 1]:
            keep[i - 1] = True
            i, j = i - 1, j - 1
        elif longest[i][j - 1] >= longest[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return keep


def counted(sentence: list[str], compressed: list[str]) -> list[bool]:
    from collections import Counter

    left, keep = Counter(compressed), []
    for word in sentence:
        keep.append(left[word] > 0)
        left[word] -= 1
    return keep


def greedy(sentence: list[str], compressed: list[str]) -> list[bool]:
    keep, j = [], 0
    for word in sentence:
        found = word in compressed[j:]
        keep.append(found)
        if found:
            j += compressed[j:].index(word) + 1
    return keep


def sentence_skipped_first(sentence: list[str], compressed: list[str]) -> list[bool]:
    n, m = len(sentence), len(compressed)
    longest = [[0] * (m + 1) for _ in range(n + 1)]
    for i in reversed(range(n)):
        for j in reversed(range(m)):
            same = sentence[i] == compressed[j]
            skip = max(longest[i + 1][j], longest[i][j + 1])
            longest[i][j] = longest[i + 1][j + 1] + 1 if same else skip
    keep, i, j = [False] * n, 0, 0
    while i < n and j < m:
        if sentence[i] == compressed[j]:
            keep[i] = True
            i, j = i + 1, j + 1
        elif longest[i][j + 1] > longest[i + 1][j]:
            j += 1
        else:
            i += 1
    return keep


def the_words(sentence: list[str], compressed: list[str]) -> list[str]:
    keep = compression.keep_labels(sentence, compressed)
    return compression.kept_words(sentence, keep)


def the_words_of_the_set(sentence: list[str], compressed: list[str]) -> list[str]:
    return [word for word in sentence if word in compressed]


WORDS_RETURNED = (
    "You return the words that are kept; asked is True or False for *each* word of "
    "the sentence."
)


def _keep_case(generator: Generator, sentence: str, compressed: str) -> Case:
    """The pattern, its letters exchanged for words that are drawn."""
    names = ["the", "cat", "saw", "dog", "old", "man", "house", "tree", "fire", "town"]
    order = torch.randperm(len(names), generator=generator).tolist()
    word = dict(zip("abcdefghij", (names[i] for i in order), strict=True))
    a, b = ([word[letter] for letter in text] for text in (sentence, compressed))
    return Case((a, b), f"\n      sentence = {a}\n      compressed = {b}")


def _keep(*patterns: tuple[str, str]) -> Callable[[Generator], list[Case]]:
    return lambda generator: [_keep_case(generator, *pattern) for pattern in patterns]


def _keep_empty(generator: Generator) -> list[Case]:
    case = _keep_case(generator, "abc", "")
    return [
        case,
        Case(([], ["the"]), "no sentence", only=True),
        Case(([], []), "nothing at all", only=True),
        _keep_case(generator, "ab", "b"),  # the answer is not always nothing
    ]


KEEP_LABELS = Exercise(
    name="3.2.3/keep_labels",
    title="Which words were kept?",
    difficulty=4,
    minutes=30,
    reference=reference_keep,
    parts=(
        Part("words that occur once", 1, _keep(("abcdef", "acf")), written),
        Part(
            "words that occur more often",
            2,
            _keep(
                ("abcad", "ad"),
                ("abcdab", "abeab"),
                ("abacb", "aab"),
                ("abcabdefgd", "cdefgab"),
            ),
            written,
        ),
        Part(
            "words in another order, or that the sentence lacks",
            2,
            _keep(
                ("abcd", "ebd"), ("abcabd", "eabd"), ("abcd", "cabd"), ("abca", "ea")
            ),
            written,
        ),
        Part("nothing to align", 1, _keep_empty, written),
    ),
    misconceptions=(
        Misconception(
            in_the_set,
            "You keep every word that occurs in the compression: so every “the” is "
            "kept, however many there were. Each word of the compression stands for "
            "one word of the sentence, and their order counts.",
        ),
        Misconception(
            waits_for_each_word,
            "You wait for one word of the compression after another: one that the "
            "sentence lacks, or has too early, stops all that follow. Skip such a "
            "word.",
        ),
        Misconception(
            substring,
            "You kept the longest run of words that stand together in both: a common "
            "subsequence may have gaps, which are what was deleted.",
        ),
        Misconception(
            longest_block_first,
            "Taking the longest common block first, as difflib does, is not the same "
            "as the longest common subsequence: a long block can shut out two shorter "
            "ones that are longer together.",
        ),
        Misconception(
            from_the_right,
            "You matched from the right: of several equally long subsequences the one "
            "whose words stand first is asked.",
        ),
        Misconception(
            sentence_skipped_first,
            "Your subsequence is as long as can be, but its words could stand further "
            "left: where skipping a word of the sentence and one of the compression "
            "come to the same, skip that of the compression.",
        ),
        Misconception(
            counted,
            "You counted how often each word may be kept, and not where: what is "
            "kept must come in the order of the compression.",
        ),
        Misconception(
            greedy,
            "You keep a word as soon as the rest of the compression has it: if that "
            "skips much of the compression, the words in between are lost. Keeping a "
            "word must be weighed against skipping it.",
        ),
    ),
    slips=(
        Misconception(the_words, WORDS_RETURNED),
        Misconception(the_words_of_the_set, WORDS_RETURNED),
    ),
    hints=(
        "What is asked is a longest common subsequence. Let L(i, j) be its length for "
        "the words of the sentence from i on and of the compression from j on.",
        "If the words i and j are equal, L(i, j) = 1 + L(i+1, j+1); if not, one of "
        "them is skipped: the larger of L(i+1, j) and L(i, j+1). Fill the table from "
        "its end.",
        "Then walk from (0, 0). Where both ways are equally long, skip the word of the "
        "*compression*: word i may still find its partner further on.",
    ),
)


# -- corrupt_spans --------------------------------------------------------------------


def reference_corrupt(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    inputs: list[int] = []
    targets: list[int] = []
    k = 0
    for i, token in enumerate(tokens):
        if noise[i] and not (i and noise[i - 1]):
            if k == len(sentinels):
                raise ValueError("more spans than sentinels")
            inputs.append(sentinels[k])
            targets.append(sentinels[k])
            k += 1
        (targets if noise[i] else inputs).append(token)
    return [*inputs, eos], [*targets, eos]


def sentinel_for_each_token(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    inputs: list[int] = []
    targets: list[int] = []
    k = 0
    for i, token in enumerate(tokens):
        if noise[i]:
            if k == len(sentinels):
                raise ValueError("more spans than sentinels")
            inputs.append(sentinels[k])
            targets.append(sentinels[k])
            k += 1
        (targets if noise[i] else inputs).append(token)
    return [*inputs, eos], [*targets, eos]


def same_sentinel(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    inputs: list[int] = []
    targets: list[int] = []
    k = 0
    for i, token in enumerate(tokens):
        if noise[i] and not (i and noise[i - 1]):
            if k == len(sentinels):
                raise ValueError("more spans than sentinels")
            inputs.append(sentinels[0])
            targets.append(sentinels[0])
            k += 1
        (targets if noise[i] else inputs).append(token)
    return [*inputs, eos], [*targets, eos]


def targets_without_sentinels(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    inputs: list[int] = []
    targets: list[int] = []
    k = 0
    for i, token in enumerate(tokens):
        if noise[i] and not (i and noise[i - 1]):
            if k == len(sentinels):
                raise ValueError("more spans than sentinels")
            inputs.append(sentinels[k])
            k += 1
        (targets if noise[i] else inputs).append(token)
    return [*inputs, eos], [*targets, eos]


def no_eos_in_inputs(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    inputs: list[int] = []
    targets: list[int] = []
    k = 0
    for i, token in enumerate(tokens):
        if noise[i] and not (i and noise[i - 1]):
            if k == len(sentinels):
                raise ValueError("more spans than sentinels")
            inputs.append(sentinels[k])
            targets.append(sentinels[k])
            k += 1
        (targets if noise[i] else inputs).append(token)
    return inputs, [*targets, eos]


def no_eos_in_targets(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    inputs: list[int] = []
    targets: list[int] = []
    k = 0
    for i, token in enumerate(tokens):
        if noise[i] and not (i and noise[i - 1]):
            if k == len(sentinels):
                raise ValueError("more spans than sentinels")
            inputs.append(sentinels[k])
            targets.append(sentinels[k])
            k += 1
        (targets if noise[i] else inputs).append(token)
    return [*inputs, eos], targets


def no_eos_at_all(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    inputs: list[int] = []
    targets: list[int] = []
    k = 0
    for i, token in enumerate(tokens):
        if noise[i] and not (i and noise[i - 1]):
            if k == len(sentinels):
                raise ValueError("more spans than sentinels")
            inputs.append(sentinels[k])
            targets.append(sentinels[k])
            k += 1
        (targets if noise[i] else inputs).append(token)
    return inputs, targets


def sentinels_reversed(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    inputs: list[int] = []
    targets: list[int] = []
    k = 0
    for i, token in enumerate(tokens):
        if noise[i] and not (i and noise[i - 1]):
            if k == len(sentinels):
                raise ValueError("more spans than sentinels")
            inputs.append(sentinels[-1 - k])
            targets.append(sentinels[-1 - k])
            k += 1
        (targets if noise[i] else inputs).append(token)
    return [*inputs, eos], [*targets, eos]


def misses_the_start(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    inputs: list[int] = []
    targets: list[int] = []
    k = 0
    for i, token in enumerate(tokens):
        if i and noise[i] and not noise[i - 1]:
            if k == len(sentinels):
                raise ValueError("more spans than sentinels")
            inputs.append(sentinels[k])
            targets.append(sentinels[k])
            k += 1
        (targets if noise[i] else inputs).append(token)
    return [*inputs, eos], [*targets, eos]


def runs_out_silently(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    inputs: list[int] = []
    targets: list[int] = []
    k = 0
    for i, token in enumerate(tokens):
        if noise[i] and not (i and noise[i - 1]):
            inputs.append(sentinels[min(k, len(sentinels) - 1)])
            targets.append(sentinels[min(k, len(sentinels) - 1)])
            k += 1
        (targets if noise[i] else inputs).append(token)
    return [*inputs, eos], [*targets, eos]


def ends_with_a_sentinel(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    inputs, targets = reference_corrupt(tokens, noise, sentinels, eos)
    n_spans = sum(token in sentinels for token in targets)
    return inputs, [*targets[:-1], sentinels[n_spans], eos]


def masks_as_bert_does(
    tokens: list[int], noise: list[bool], sentinels: list[int], eos: int
) -> tuple[list[int], list[int]]:
    pairs = list(zip(tokens, noise, strict=True))
    inputs = [sentinels[0] if flag else token for token, flag in pairs]
    return [*inputs, eos], [*(token for token, flag in pairs if flag), eos]


def _span_case(generator: Generator, lengths: list[int], first: bool) -> Case:
    """Runs of these lengths, of noise and of text by turns."""
    noise = [
        kind for i, n in enumerate(lengths) for kind in [first == (i % 2 == 0)] * n
    ]
    tokens = torch.randperm(90, generator=generator)[: len(noise)].add(10).tolist()
    first_of_all = 200 + _draw(generator, 0, 40)
    sentinels = [first_of_all - i for i in range(4)]
    args = tokens, noise, sentinels, 1
    marks = [int(flag) for flag in noise]
    says = (
        f"\n      tokens = {tokens}\n      noise = {marks} (as True and False)"
        f"\n      sentinels = {sentinels}, eos = 1"
    )
    return Case(args, says)


def _t5s_example(generator: Generator) -> list[Case]:
    return [_span_case(generator, [2, 2, 4, 1, 1], first=False)]


def _noise_at_the_ends(generator: Generator) -> list[Case]:
    return [
        _span_case(generator, [1, 2, 3], first=True),
        _span_case(generator, [3, _draw(generator, 1, 4), 1, 2, 1], first=True),
        _span_case(generator, [4, 2], first=False),
    ]


def _too_few_sentinels(generator: Generator) -> list[Case]:
    case = _span_case(generator, [1] * 9, first=True)
    return [Case(case.args, "five spans, four sentinels")]


CORRUPT_SPANS = Exercise(
    name="3.2.3/corrupt_spans",
    title="Cut spans out",
    difficulty=3,
    minutes=25,
    reference=reference_corrupt,
    parts=(
        Part("the shape of T5's own example", 1, _t5s_example, written),
        Part("noise at either end", 2, _noise_at_the_ends, written),
        Part(
            "ValueError: more spans than sentinels", 1, _too_few_sentinels, error_type
        ),
    ),
    misconceptions=(
        Misconception(
            sentinel_for_each_token,
            "You put a sentinel for each noise *token*: one stands for a whole span, "
            "which is what makes the input shorter.",
        ),
        Misconception(
            same_sentinel,
            "All your spans have the same sentinel: nobody can tell what goes where. "
            "Span k takes sentinel k.",
        ),
        Misconception(
            targets_without_sentinels,
            "Your targets lack the sentinels: where one span ends and the next begins "
            "cannot be seen. Each span is its sentinel and its tokens.",
        ),
        Misconception(
            no_eos_in_inputs,
            "Your inputs do not end with `eos`; both rows do.",
        ),
        Misconception(
            no_eos_in_targets,
            "Your targets do not end with `eos`; both rows do. A decoder that never "
            "saw the end does not stop.",
        ),
        Misconception(
            no_eos_at_all,
            "Neither of your rows ends with `eos`; both must.",
        ),
        Misconception(
            sentinels_reversed,
            "You took the sentinels from the end: T5's ids fall, but the order to use "
            "is the order in which they are given.",
        ),
        Misconception(
            misses_the_start,
            "A span at the very start gets no sentinel: a span begins where a noise "
            "token has no noise token *before* it, and before the first is nothing.",
        ),
        Misconception(
            runs_out_silently,
            "Where the sentinels run out you go on with the last one, and two spans "
            "look alike: raise a ValueError.",
        ),
    ),
    slips=(
        Misconception(
            ends_with_a_sentinel,
            "One more sentinel at the end of the targets is what T5's paper draws; "
            "its code, and this exercise, have `eos` alone.",
        ),
        Misconception(
            masks_as_bert_does,
            "You masked each token of noise, as BERT does: here a whole span becomes "
            "one sentinel, another for each span, and the targets have them too.",
        ),
    ),
    hints=(
        "Walk through the tokens once. A text token goes to the inputs; a noise token "
        "goes to the targets.",
        "At the first token of a span its sentinel goes to both. How do you know that "
        "a token is the first of its span?",
        "Keep a counter of spans. Compare it with len(sentinels) before you use it.",
    ),
)


# -- order_pair -----------------------------------------------------------------------


def reference_pair(
    a: list[int], b: list[int], swap: bool, special: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    cls, sep = special
    first, second = (b, a) if swap else (a, b)
    ids = [cls, *first, sep, *second, sep]
    return ids, [0] * (len(first) + 2) + [1] * (len(second) + 1), int(swap)


def segments_travel(
    a: list[int], b: list[int], swap: bool, special: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    cls, sep = special
    first, second = (b, a) if swap else (a, b)
    ids = [cls, *first, sep, *second, sep]
    segments = [int(swap)] * (len(first) + 2) + [int(not swap)] * (len(second) + 1)
    return ids, segments, int(swap)


def lengths_before_the_swap(
    a: list[int], b: list[int], swap: bool, special: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    cls, sep = special
    first, second = (b, a) if swap else (a, b)
    ids = [cls, *first, sep, *second, sep]
    return ids, [0] * (len(a) + 2) + [1] * (len(b) + 1), int(swap)


def separator_in_segment_1(
    a: list[int], b: list[int], swap: bool, special: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    cls, sep = special
    first, second = (b, a) if swap else (a, b)
    ids = [cls, *first, sep, *second, sep]
    return ids, [0] * (len(first) + 1) + [1] * (len(second) + 2), int(swap)


def one_is_in_order(
    a: list[int], b: list[int], swap: bool, special: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    cls, sep = special
    first, second = (b, a) if swap else (a, b)
    ids = [cls, *first, sep, *second, sep]
    return ids, [0] * (len(first) + 2) + [1] * (len(second) + 1), int(not swap)


def words_reversed_too(
    a: list[int], b: list[int], swap: bool, special: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    cls, sep = special
    first, second = (b[::-1], a[::-1]) if swap else (a, b)
    ids = [cls, *first, sep, *second, sep]
    return ids, [0] * (len(first) + 2) + [1] * (len(second) + 1), int(swap)


def separator_moves(
    a: list[int], b: list[int], swap: bool, special: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    cls, sep = special
    first, second = (b, [*a, sep]) if swap else ([*a, sep], b)
    ids = [cls, *first, *second, sep]
    n = len(b if swap else a) + 2
    return ids, [0] * n + [1] * (len(ids) - n), int(swap)


def swaps_always(
    a: list[int], b: list[int], swap: bool, special: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    cls, sep = special
    ids = [cls, *b, sep, *a, sep]
    return ids, [0] * (len(b) + 2) + [1] * (len(a) + 1), int(swap)


def segments_of_the_words_alone(
    a: list[int], b: list[int], swap: bool, special: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    ids, _, label = reference_pair(a, b, swap, special)
    first, second = (b, a) if swap else (a, b)
    return ids, [0] * len(first) + [1] * len(second), label


def one_segment(
    a: list[int], b: list[int], swap: bool, special: tuple[int, int]
) -> tuple[list[int], list[int], int]:
    ids, _, label = reference_pair(a, b, swap, special)
    return ids, [0] * len(ids), label


def _pair_case(generator: Generator, n: int, m: int, swap: bool) -> Case:
    ids = torch.randperm(90, generator=generator)[: n + m].add(10).tolist()
    a, b = ids[:n], ids[n:]
    return Case((a, b, swap, (1, 2)), f"a = {a}, b = {b}, swap = {swap}, (1, 2)")


def _in_order(generator: Generator) -> list[Case]:
    return [
        _pair_case(generator, 2, 3, swap=False),
        _pair_case(generator, 5, 2, swap=False),
    ]


def _swapped(generator: Generator) -> list[Case]:
    return [
        _pair_case(generator, 2, 3, swap=True),
        _pair_case(generator, 5, 2, swap=True),
        _pair_case(generator, 3, 3, swap=True),
    ]


ORDER_PAIR = Exercise(
    name="3.2.3/order_pair",
    title="Find the bug: right after fifty steps",
    difficulty=3,
    minutes=20,
    reference=reference_pair,
    parts=(
        Part("a pair in its order", 1, _in_order, written),
        Part("a pair that is swapped", 2, _swapped, written),
    ),
    misconceptions=(
        Misconception(
            segments_travel,
            "The segments travel with their sentences: a swapped row begins with "
            "segment 1, and segment 1 in front *is* the label. Number the segments "
            "after the swap, by where they stand.",
        ),
        Misconception(
            lengths_before_the_swap,
            "Your segments have the lengths from before the swap: that fits only "
            "where a and b are equally long. Elsewhere they do not fit the text, and a "
            "row shows whether it was swapped.",
        ),
        Misconception(
            separator_in_segment_1,
            "The first [SEP] belongs to the segment that it ends, segment 0.",
        ),
        Misconception(
            one_is_in_order,
            "Your label is the other way round: 1 means swapped.",
        ),
        Misconception(
            words_reversed_too,
            "You reversed the words as well: the two segments change places, their "
            "words stay in order. Backward text would give the label away.",
        ),
        Misconception(
            separator_moves,
            "The separator moved with the sentence: after the swap, too, one [SEP] "
            "stands between the two and one at the end.",
        ),
        Misconception(
            swaps_always,
            "You swap whatever `swap` says.",
        ),
    ),
    slips=(
        Misconception(
            segments_of_the_words_alone,
            "Your segments are shorter than your ids: [CLS] and both [SEP] have a "
            "segment, too.",
        ),
        Misconception(
            one_segment,
            "All of your row is segment 0: nothing leaks, but the model cannot tell "
            "where the second piece begins but by [SEP]. Segment 1 begins after it.",
        ),
    ),
    hints=(
        "Print the row of a swapped and of an unswapped pair. Which list tells you at "
        "its first entry which of the two it is?",
        "A model that reads segment numbers need not read a word. What must segments "
        "depend on, and on what not?",
        "Swap the sentences first. Then build ids and segments, from the lengths as "
        "they stand now.",
    ),
)

EXERCISES = [KEEP_LABELS, CORRUPT_SPANS, ORDER_PAIR]
