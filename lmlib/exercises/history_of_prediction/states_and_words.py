"""Section 1.1: hidden states, and bags of words."""

import math

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Misconception,
    Part,
    draw_integer,
)
from lmlib.exercises.history_of_prediction.counting import in_double

# -- hmm_bits -------------------------------------------------------------------------


def reference_hmm(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    expected, bits = initial, 0.0
    for symbol in observed:
        joint = expected * emission[:, symbol]
        c = joint.sum().item()
        if c == 0:
            return math.inf
        bits -= math.log2(c)
        expected = joint / c @ transition
    return bits


def best_path(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    best, bits = initial, 0.0
    for symbol in observed:
        joint = best * emission[:, symbol]
        c = joint.max().item()
        if c == 0:
            return math.inf
        bits -= math.log2(c)
        best = (joint[:, None] / c * transition).amax(dim=0)
    return bits


def unscaled(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    expected = initial
    for symbol in observed[:-1]:
        expected = expected * emission[:, symbol] @ transition
    if observed:
        expected = expected * emission[:, observed[-1]]
    return abs(-expected.sum().log2().item())


def transposed(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    expected, bits = initial, 0.0
    for symbol in observed:
        joint = expected * emission[:, symbol]
        c = joint.sum().item()
        if c == 0:
            return math.inf
        bits -= math.log2(c)
        expected = transition @ (joint / c)
    return bits


def moves_before_it_speaks(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    expected, bits = initial @ transition, 0.0
    for symbol in observed:
        joint = expected * emission[:, symbol]
        c = joint.sum().item()
        if c == 0:
            return math.inf
        bits -= math.log2(c)
        expected = joint / c @ transition
    return bits


def speaks_late(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    expected, bits = initial @ transition, 0.0
    for symbol in observed[1:]:
        joint = expected * emission[:, symbol]
        c = joint.sum().item()
        if c == 0:
            return math.inf
        bits -= math.log2(c)
        expected = joint / c @ transition
    return bits


def per_symbol(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    expected, bits = initial, 0.0
    for symbol in observed:
        joint = expected * emission[:, symbol]
        c = joint.sum().item()
        if c == 0:
            return math.inf
        bits -= math.log2(c)
        expected = joint / c @ transition
    return bits / max(len(observed), 1)


def nan_when_impossible(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    expected, bits = initial, torch.zeros((), dtype=torch.float64)
    for symbol in observed:
        joint = expected * emission[:, symbol]
        c = joint.sum()
        bits = bits - c.log2()
        expected = joint / c @ transition
    return bits.item()


def nothing_for_the_impossible(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    expected, bits = initial, 0.0
    for symbol in observed:
        joint = expected * emission[:, symbol]
        c = max(joint.sum().item(), 1e-12)
        bits -= math.log2(c)
        expected = joint / c @ transition
    return bits


def always_from_the_start(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    bits = 0.0
    for symbol in observed:
        c = (initial * emission[:, symbol]).sum().item()
        if c == 0:
            return math.inf
        bits -= math.log2(c)
    return bits


def does_not_listen(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    expected, bits = initial, 0.0
    for symbol in observed:
        c = (expected * emission[:, symbol]).sum().item()
        if c == 0:
            return math.inf
        bits -= math.log2(c)
        expected = expected @ transition
    return bits


def hmm_in_nats(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    return reference_hmm(initial, transition, emission, observed) * math.log(2)


def sign_turned(
    initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
) -> float:
    return -reference_hmm(initial, transition, emission, observed)


def _shares(generator: Generator, *shape: int) -> Tensor:
    """Unequal, none near 0, the first ones larger: asymmetric matrices."""
    x = torch.rand(*shape, generator=generator, dtype=torch.float64) ** 2 + 0.03
    return x / x.sum(dim=-1, keepdim=True)


def _model(generator: Generator, k: int, v: int) -> tuple[Tensor, Tensor, Tensor]:
    shapes = ((k,), (k, k), (k, v))
    initial, transition, emission = (_shares(generator, *shape) for shape in shapes)
    return initial, transition, emission


def _text(generator: Generator, n: int, v: int) -> list[int]:
    return torch.randint(0, v, (n,), generator=generator).tolist()


def _states(generator: Generator, k: int, v: int, n: int) -> Case:
    says = f"{k} states, {v} symbols, a text of {n}"
    return Case((*_model(generator, k, v), _text(generator, n, v)), says)


def _two_states(generator: Generator) -> list[Case]:
    return [_states(generator, 2, 3, n) for n in (1, 2, 3, 4)]


def _any_size(generator: Generator) -> list[Case]:
    sizes = ((3, 5, 6), (4, 2, 9), (5, 3, 20), (2, 7, 40), (3, 4, 0))
    return [_states(generator, *size) for size in sizes]


def _long(generator: Generator) -> list[Case]:
    return [_states(generator, 3, 20, 3000)]


def _impossible(generator: Generator) -> list[Case]:
    """A symbol that no state emits; two symbols that cannot follow each other."""
    initial, transition, emission = _model(generator, 3, 4)
    emission[:, 2] = 0.0
    emission /= emission.sum(dim=1, keepdim=True)
    never = (initial, transition, emission, [0, 1, 2, 3, 1])
    turns = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    own = torch.zeros(2, 4, dtype=torch.float64)
    own[0, :2], own[1, 2:] = _shares(generator, 2), _shares(generator, 2)
    start = _shares(generator, 2)
    return [
        Case(never, "a symbol that no state emits"),
        Case((start, turns, own, [0, 2, 1, 0, 3]), "two that cannot follow each other"),
        Case((start, turns, own, [0, 2, 1, 3]), "and a text that can be"),
    ]


HMM_BITS = Exercise(
    name="1.1/hmm_bits",
    title="The bits of hidden states",
    difficulty=3,
    minutes=25,
    reference=reference_hmm,
    parts=(
        Part("two states, by hand", 1, _two_states),
        Part("any number of states", 2, _any_size),
        Part("3,000 symbols", 1, _long),
        Part("what cannot be", 1, _impossible),
    ),
    misconceptions=(
        Misconception(
            best_path,
            "You follow the likeliest path. A text's probability is that of *all* "
            "paths together: sum over the states, don't take the largest.",
        ),
        Misconception(
            unscaled,
            "A product of three thousand probabilities is 0 in float64. Divide by cₜ "
            "after each symbol, and add −log₂ cₜ.",
            seen="https://github.com/mlpack/mlpack/issues/160",
        ),
        Misconception(
            transposed,
            "You go through `transition` the wrong way: row i has the moves *from* "
            "state i.",
        ),
        Misconception(
            moves_before_it_speaks,
            "The first symbol comes from a state of `initial`: the first move is after "
            "it.",
        ),
        Misconception(
            speaks_late,
            "The first symbol is free in yours: every symbol is paid for.",
        ),
        Misconception(
            per_symbol,
            "The bits of the whole text are asked for: the sum, not the mean.",
        ),
        Misconception(
            nan_when_impossible,
            "When c is 0, you go on with 0/0. What cannot be costs infinitely many "
            "bits: return `math.inf`.",
        ),
        Misconception(
            nothing_for_the_impossible,
            "You sell what cannot be for a fixed price: it costs infinitely many bits.",
        ),
        Misconception(
            always_from_the_start,
            "You never move: after a symbol, the state goes on by `transition`.",
        ),
        Misconception(
            does_not_listen,
            "You move, but don't learn: a symbol tells which state it came from. Go on "
            "from the products with its emission, divided by their sum.",
        ),
    ),
    slips=(
        Misconception(hmm_in_nats, "These are nats: a bit is log₂."),
        Misconception(
            sign_turned,
            "The sign is turned: −log₂ of a probability is positive.",
        ),
    ),
    hints=(
        "Keep `expected`, the probability of each state before its symbol comes. It "
        "begins as `initial`.",
        "`joint = expected * emission[:, symbol]`; its sum is c, the probability of "
        "this symbol.",
        "The next `expected` is `(joint / c) @ transition`.",
    ),
)


# -- naive_bayes_bits -----------------------------------------------------------------


def reference_naive_bayes(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = (counts + 1) / (counts.sum(dim=1, keepdim=True) + counts.shape[1])
    return -prior.log2() - p[:, words].log2().sum(dim=1)


def no_vocabulary_below(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = (counts + 1) / counts.sum(dim=1, keepdim=True)
    return -prior.log2() - p[:, words].log2().sum(dim=1)


def unclosed_bracket(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = (counts + 1) / counts.sum(dim=1, keepdim=True) + counts.shape[1]
    return -prior.log2() - p[:, words].log2().sum(dim=1)


def magic_tenth(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = torch.where(counts > 0, counts, 0.1) / counts.sum(dim=1, keepdim=True)
    return -prior.log2() - p[:, words].log2().sum(dim=1)


def own_vocabulary(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    size = (counts > 0).sum(dim=1, keepdim=True)
    p = (counts + 1) / (counts.sum(dim=1, keepdim=True) + size)
    return -prior.log2() - p[:, words].log2().sum(dim=1)


def no_prior(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = (counts + 1) / (counts.sum(dim=1, keepdim=True) + counts.shape[1])
    return -p[:, words].log2().sum(dim=1)


def set_of_words(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = (counts + 1) / (counts.sum(dim=1, keepdim=True) + counts.shape[1])
    return -prior.log2() - p[:, sorted(set(words))].log2().sum(dim=1)


def product_underflows(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = (counts + 1) / (counts.sum(dim=1, keepdim=True) + counts.shape[1])
    return -(prior * p[:, words].prod(dim=1)).log2()


def shares_of_the_classes(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = (counts + 1) / (counts.sum(dim=0, keepdim=True) + counts.shape[0])
    return -prior.log2() - p[:, words].log2().sum(dim=1)


def nothing_added(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = counts / counts.sum(dim=1, keepdim=True)
    return -prior.log2() - p[:, words].log2().sum(dim=1)


def prior_for_every_word(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = (counts + 1) / (counts.sum(dim=1, keepdim=True) + counts.shape[1])
    return -(prior[:, None] * p[:, words]).log2().sum(dim=1)


def bits_to_tell_the_class(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = (counts + 1) / (counts.sum(dim=1, keepdim=True) + counts.shape[1])
    joint = prior.log() + p[:, words].log().sum(dim=1)
    return -joint.log_softmax(dim=0) / math.log(2)


def total_of_all_classes(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = (counts + 1) / (counts.sum() + counts.shape[1])
    return -prior.log2() - p[:, words].log2().sum(dim=1)


def words_in_nats(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    return reference_naive_bayes(counts, prior, words) * math.log(2)


def bits_a_word(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    return reference_naive_bayes(counts, prior, words) / max(len(words), 1)


def half_added(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    p = (counts + 0.5) / (counts.sum(dim=1, keepdim=True) + counts.shape[1] / 2)
    return -prior.log2() - p[:, words].log2().sum(dim=1)


def turned(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
    return -reference_naive_bayes(counts, prior, words)


def _bag(generator: Generator, c: int, v: int, n: int, says: str = "") -> Case:
    counts = torch.randint(1, 30, (c, v), generator=generator).double()
    counts *= torch.rand(c, v, generator=generator) > 0.3  # some never came
    counts[:, 0] += torch.arange(1, c + 1) * 7  # classes of unequal size
    words = _text(generator, n, v)
    words += words[:2]  # a word comes twice
    args = (counts, _shares(generator, c), words)
    return Case(args, says or f"{c} classes, {v} words, a text of {len(words)}")


def _bags(generator: Generator) -> list[Case]:
    sizes = ((2, 4, 3), (3, 5, 8), (4, 12, 20), (2, 9, 0))
    return [_bag(generator, *size) for size in sizes]


def _long_bags(generator: Generator) -> list[Case]:
    return [_bag(generator, 3, 50, 1000)]


def _unknown(generator: Generator) -> list[Case]:
    cases = []
    for c, v in ((2, 6), (3, 8)):
        counts, prior, words = _bag(generator, c, v, 6).args
        where = draw_integer(generator, 1, v - 1)
        counts[:, where], counts[0, (where + 1) % v] = 0.0, 0.0
        words = [*words, where, (where + 1) % v]
        cases.append(Case((counts, prior, words), "words that a class never had"))
    return cases


NAIVE_BAYES_BITS = Exercise(
    name="1.1/naive_bayes_bits",
    title="The shortest file tells the class",
    difficulty=2,
    minutes=20,
    reference=reference_naive_bayes,
    parts=(
        Part("class and words", 2, _bags, in_double),
        Part("1,000 words", 1, _long_bags, in_double),
        Part("words of count 0", 1, _unknown, in_double),
    ),
    misconceptions=(
        Misconception(
            no_vocabulary_below,
            "You added 1 to each of V counts and nothing below: your probabilities sum "
            "to more than 1. Divide by N + V.",
        ),
        Misconception(
            unclosed_bracket,
            "V belongs into the denominator: (n + 1) / (N + V), in brackets.",
        ),
        Misconception(
            magic_tenth,
            "A tenth of a count for what never came is made up: with it, the "
            "probabilities don't sum to 1. Add 1 to every count.",
        ),
        Misconception(
            own_vocabulary,
            "Your V counts the words that the class has. All classes share one "
            "vocabulary, V words, or they sell unknown words at different prices.",
        ),
        Misconception(
            no_prior,
            "The class is part of the message: add −log₂ of its prior.",
        ),
        Misconception(
            set_of_words,
            "A word that comes twice is paid for twice: yours are different words "
            "only.",
        ),
        Misconception(
            product_underflows,
            "A product of a thousand probabilities is 0 in floating point: add "
            "logarithms.",
        ),
        Misconception(
            shares_of_the_classes,
            "You divide by how often a *word* came in all classes. What is needed is "
            "the share of the word among the words of a class: sum over the row.",
        ),
        Misconception(
            nothing_added,
            "Add 1 to every count: a word that a class never had would cost infinitely "
            "many bits.",
        ),
        Misconception(
            prior_for_every_word,
            "The class is sent once, not with every word: its prior counts once.",
        ),
        Misconception(
            bits_to_tell_the_class,
            "That is −log₂ of the class's probability, given the words. What is asked "
            "for are the lengths before they are compared: class and words.",
        ),
        Misconception(
            total_of_all_classes,
            "N is the number of words in *this* class, not in all of them.",
        ),
    ),
    slips=(
        Misconception(words_in_nats, "These are nats: a bit is log₂."),
        Misconception(bits_a_word, "The whole file is asked for, not bits a word."),
        Misconception(half_added, "You add ½ to each count: here it is 1."),
        Misconception(
            turned, "The sign is turned: −log₂ of a probability is positive."
        ),
    ),
    hints=(
        "First the table of probabilities, [C, V]: its rows must sum to 1.",
        "`table[:, words]` has a column for each word of the text, in order.",
        "Logarithms of the columns, summed; then that of the prior, once.",
    ),
)

EXERCISES = [HMM_BITS, NAIVE_BAYES_BITS]
