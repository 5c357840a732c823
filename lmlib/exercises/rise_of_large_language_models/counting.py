"""Section 1.2: how many numbers a decoder has, and what a step of training costs."""

from typing import Any

from torch import Generator

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    distinct_sizes,
    draw_integer,
    error_type,
    plain_number,
)

# -- decoder_parameters ---------------------------------------------------------------


def reference_parameters(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError("a size below 1")
    d, f = d_model, d_ff
    attention, feed_forward, norms = 4 * d * d + 4 * d, 2 * d * f + f + d, 4 * d
    tables = vocab_size * d * (1 if tied else 2) + n_positions * d
    return n_layers * (attention + feed_forward + norms) + tables + 2 * d


def head_counted_twice(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 2 * d * f + f + 9 * d
    return n_layers * block + (2 * vocab_size + n_positions) * d + 2 * d


def table_taken_off(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 2 * d * f + f + 9 * d
    tables = 0 if tied else vocab_size * d
    return n_layers * block + tables + n_positions * d + 2 * d


def no_biases(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 2 * d * f + 4 * d
    tables = vocab_size * d * (1 if tied else 2) + n_positions * d
    return n_layers * block + tables + 2 * d


def no_norms(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 4 * d + 2 * d * f + f + d
    tables = vocab_size * d * (1 if tied else 2) + n_positions * d
    return n_layers * block + tables


def last_norm_forgotten(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 2 * d * f + f + 9 * d
    tables = vocab_size * d * (1 if tied else 2) + n_positions * d
    return n_layers * block + tables


def one_feed_forward_matrix(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 4 * d + d * f + f + 4 * d
    tables = vocab_size * d * (1 if tied else 2) + n_positions * d
    return n_layers * block + tables + 2 * d


def four_times_as_wide(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d = d_model
    tables = vocab_size * d * (1 if tied else 2) + n_positions * d
    return n_layers * (12 * d * d + 13 * d) + tables + 2 * d


def positions_left_out(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 2 * d * f + f + 9 * d
    return n_layers * block + vocab_size * d * (1 if tied else 2) + 2 * d


def head_always_shared(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 2 * d * f + f + 9 * d
    return n_layers * block + (vocab_size + n_positions) * d + 2 * d


def no_size_refused(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    d, f = d_model, d_ff
    block = 4 * d * d + 2 * d * f + f + 9 * d
    tables = vocab_size * d * (1 if tied else 2) + n_positions * d
    return n_layers * block + tables + 2 * d


# Slips: recognised, and not handed in by the tests.


def bias_at_the_head(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 2 * d * f + f + 9 * d
    tables = vocab_size * d + n_positions * d
    if not tied:
        tables += vocab_size * d + vocab_size
    return n_layers * block + tables + 2 * d


def gains_alone(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 2 * d * f + f + 7 * d
    tables = vocab_size * d * (1 if tied else 2) + n_positions * d
    return n_layers * block + tables + d


def one_norm_a_block(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 2 * d * f + f + 7 * d
    tables = vocab_size * d * (1 if tied else 2) + n_positions * d
    return n_layers * block + tables + 2 * d


def output_matrix_forgotten(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 3 * d * d + 2 * d * f + f + 8 * d
    tables = vocab_size * d * (1 if tied else 2) + n_positions * d
    return n_layers * block + tables + 2 * d


def no_biases_in_attention(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 2 * d * f + f + 5 * d
    tables = vocab_size * d * (1 if tied else 2) + n_positions * d
    return n_layers * block + tables + 2 * d


def last_norm_in_every_layer(
    n_layers: int,
    d_model: int,
    vocab_size: int,
    n_positions: int,
    d_ff: int,
    tied: bool,
) -> int:
    if min(n_layers, d_model, vocab_size, n_positions, d_ff) < 1:
        raise ValueError
    d, f = d_model, d_ff
    block = 4 * d * d + 2 * d * f + f + 11 * d
    tables = vocab_size * d * (1 if tied else 2) + n_positions * d
    return n_layers * block + tables


def _sizes(generator: Generator) -> tuple[int, int, int, int, int]:
    """Layers, width, vocabulary, positions, inner width: no two alike, f not 4d."""
    layers, d = distinct_sizes(generator, 2, 2)
    vocabulary = draw_integer(generator, 50, 90)
    positions = draw_integer(generator, 10, 25)
    inner = 4 * d + draw_integer(generator, 1, 9)
    return layers, d, vocabulary, positions, inner


def _says(sizes: tuple[int, ...]) -> str:
    names = ("n_layers", "d_model", "vocab_size", "n_positions", "d_ff")
    return ", ".join(f"{n} {size}" for n, size in zip(names, sizes, strict=True))


def _of(generator: Generator, tied: bool) -> list[Case]:
    cases = []
    for _ in range(2):
        sizes = _sizes(generator)
        cases.append(Case((*sizes, tied), f"{_says(sizes)}, tied {tied}"))
    return cases


def _tied(generator: Generator) -> list[Case]:
    return _of(generator, True)


def _untied(generator: Generator) -> list[Case]:
    return _of(generator, False)


def _gpt2(generator: Generator) -> list[Case]:
    sizes = (12, 768, 50257, 1024, 3072)
    return [Case((*sizes, True), f"{_says(sizes)}, tied True", only=True)]


def _below_one(generator: Generator) -> list[Case]:
    cases = []
    for i in range(5):
        sizes = [*_sizes(generator)]
        sizes[i] = -draw_integer(generator, 0, 3)
        cases.append(Case((*sizes, True), f"{_says(tuple(sizes))}, tied True"))
    return cases


DECODER_PARAMETERS = Exercise(
    name="1.2/decoder_parameters",
    title="Five numbers give a size",
    difficulty=2,
    minutes=15,
    reference=reference_parameters,
    parts=(
        Part("head and embedding share a table", 2, _tied),
        Part("a head of its own", 1, _untied),
        Part("GPT-2", 1, _gpt2, beside_a_value=True),
        Part("a size below 1: ValueError", 1, _below_one, error_type),
    ),
    misconceptions=(
        Misconception(
            head_counted_twice,
            "The head is counted beside the table though they are `tied`: a table used "
            "at both ends is stored once.",
            "https://github.com/TylerYep/torchinfo/issues/377",
        ),
        Misconception(
            table_taken_off,
            "The table of tokens is taken off, though it is there once: it is stored, "
            "and learned, whatever a look-up costs.",
            "https://github.com/pytorch/torchtitan/issues/3225",
        ),
        Misconception(
            no_biases,
            "The biases are missing: each of the matrices of a block has one, 4d in "
            "attention, d_ff + d in the feed-forward layer.",
        ),
        Misconception(
            no_norms,
            "The norms are missing. Each learns a gain and a bias, 2d; a block has "
            "two of them, and one comes last.",
        ),
        Misconception(
            last_norm_forgotten,
            "A decoder with its norms at the entrance of each block ends with a norm "
            "of its own: 2d more.",
        ),
        Misconception(
            one_feed_forward_matrix,
            "The feed-forward layer has two matrices, up and down, each with a bias.",
        ),
        Misconception(
            four_times_as_wide,
            "12d² + 13d is a block with d_ff = 4d. Here d_ff is given, and may be "
            "anything.",
        ),
        Misconception(
            positions_left_out,
            "The table of positions is missing: n_positions rows of d, learned like "
            "the others.",
        ),
        Misconception(
            head_always_shared,
            "Where `tied` is False the head has a table of its own: vocab_size·d more.",
        ),
        Misconception(
            no_size_refused,
            "A model without layers, or of negative width, has no size: any of the "
            "five below 1 must raise ValueError.",
        ),
    ),
    slips=(
        Misconception(
            bias_at_the_head,
            "A head of its own has a table and no bias here.",
        ),
        Misconception(
            gains_alone,
            "Your norms have a gain and no bias, as Llama's. These have both: 2d.",
        ),
        Misconception(
            one_norm_a_block,
            "A block has two norms: one before attention, one before the feed-forward "
            "layer.",
        ),
        Misconception(
            output_matrix_forgotten,
            "Attention has four matrices: query, key, value, and the one that its "
            "output passes.",
        ),
        Misconception(
            no_biases_in_attention,
            "The four matrices of attention have biases, too: 4d.",
        ),
        Misconception(
            last_norm_in_every_layer,
            "The last norm comes once, after all layers.",
        ),
    ),
    hints=(
        "A block: attention 4d² + 4d; what has the feed-forward layer, what two norms?",
        "Beside the blocks: a row for each token and for each position, a last norm.",
        "`tied` or not decides whether vocab_size·d is there once or twice.",
    ),
)


# -- flops_per_token ------------------------------------------------------------------


def reference_flops(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (4 * d * d + 2 * d * d_ff) + vocab_size * d
    return 6 * weights + 12 * n_layers * length * d


def forward_only(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (4 * d * d + 2 * d * d_ff) + vocab_size * d
    return 2 * weights + 4 * n_layers * length * d


def multiply_add_is_one(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (4 * d * d + 2 * d * d_ff) + vocab_size * d
    return 3 * weights + 6 * n_layers * length * d


def lookup_is_a_product(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (4 * d * d + 2 * d * d_ff) + 2 * vocab_size * d
    return 6 * weights + 12 * n_layers * length * d


def no_head(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (4 * d * d + 2 * d * d_ff)
    return 6 * weights + 12 * n_layers * length * d


def weights_alone(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    return 6 * (n_layers * (4 * d * d + 2 * d * d_ff) + vocab_size * d)


def half_the_products(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (4 * d * d + 2 * d * d_ff) + vocab_size * d
    return 6 * weights + 6 * n_layers * length * d


def length_squared(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (4 * d * d + 2 * d * d_ff) + vocab_size * d
    return 6 * weights + 12 * n_layers * length * length * d


def of_the_whole_text(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (4 * d * d + 2 * d * d_ff) + vocab_size * d
    return length * (6 * weights + 12 * n_layers * length * d)


def backward_as_forward(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (4 * d * d + 2 * d * d_ff) + vocab_size * d
    return 4 * weights + 8 * n_layers * length * d


# Slips: recognised, and not handed in by the tests.


def attention_forward_only(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (4 * d * d + 2 * d * d_ff) + vocab_size * d
    return 6 * weights + 4 * n_layers * length * d


def inner_width_of_habit(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    return 6 * (12 * n_layers * d * d + vocab_size * d) + 12 * n_layers * length * d


def one_layer_attends(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (4 * d * d + 2 * d * d_ff) + vocab_size * d
    return 6 * weights + 12 * length * d


def one_matrix_up(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (4 * d * d + d * d_ff) + vocab_size * d
    return 6 * weights + 12 * n_layers * length * d


def three_matrices_attend(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d = d_model
    weights = n_layers * (3 * d * d + 2 * d * d_ff) + vocab_size * d
    return 6 * weights + 12 * n_layers * length * d


def biases_multiply(
    n_layers: int, d_model: int, vocab_size: int, length: int, d_ff: int
) -> int:
    d, f = d_model, d_ff
    weights = n_layers * (4 * d * d + 4 * d + 2 * d * f + f + d) + vocab_size * d
    return 6 * weights + 12 * n_layers * length * d


def _more(argument: int, rise: int) -> Any:
    """For `Part.observe`: by how much the value rises with one argument."""

    def observe(function: Function, args: tuple[Any, ...]) -> Any:
        larger = list(args)
        larger[argument] += rise
        before, after = plain_number(function(*args)), plain_number(function(*larger))
        if any(type(value) not in (int, float) for value in (before, after)):
            return after
        return after - before

    return observe


def _model(generator: Generator) -> tuple[int, int, int, int, int]:
    layers, d, vocabulary, _, inner = _sizes(generator)
    return layers, d, vocabulary, d + draw_integer(generator, 2, 9), inner


def _says_model(sizes: tuple[int, ...]) -> str:
    names = ("n_layers", "d_model", "vocab_size", "length", "d_ff")
    return ", ".join(f"{n} {size}" for n, size in zip(names, sizes, strict=True))


def _models(generator: Generator) -> list[Case]:
    drawn = [_model(generator) for _ in range(2)]
    return [Case(sizes, _says_model(sizes)) for sizes in drawn]


def _longer(generator: Generator) -> list[Case]:
    sizes = _model(generator)
    says = f"{_says_model(sizes)}: how much more with a length greater by 3"
    return [Case(sizes, says)]


def _richer(generator: Generator) -> list[Case]:
    sizes = _model(generator)
    says = f"{_says_model(sizes)}: how much more with 5 more tokens in the vocabulary"
    return [Case(sizes, says)]


FLOPS_PER_TOKEN = Exercise(
    name="1.2/flops_per_token",
    title="What a step costs",
    difficulty=3,
    minutes=20,
    reference=reference_flops,
    parts=(
        Part("the whole count", 2, _models),
        Part("what a longer text adds", 2, _longer, _more(3, 3)),
        Part("what a larger vocabulary adds", 1, _richer, _more(2, 5)),
    ),
    misconceptions=(
        Misconception(
            forward_only,
            "This is the forward pass alone. The backward pass costs twice as much "
            "again: a product for the input's gradient, one for the weights'.",
        ),
        Misconception(
            multiply_add_is_one,
            "A multiplication and an addition are two operations, not one.",
        ),
        Misconception(
            lookup_is_a_product,
            "The look-up of a token fetches a row and multiplies nothing; only the "
            "head multiplies with the table.",
            "https://github.com/huggingface/trl/issues/6708",
        ),
        Misconception(
            no_head,
            "The head is missing: it multiplies with vocab_size rows at each position, "
            "whether the table is shared or not.",
        ),
        Misconception(
            weights_alone,
            "6 times the weights leaves out the products in which no weight is: "
            "queries by keys, and attention by values.",
        ),
        Misconception(
            half_the_products,
            "This is half of attention's products. Both count, queries by keys and "
            "attention by values, each over all `length` keys: masked ones are "
            "computed and thrown away.",
            "https://github.com/karpathy/nanoGPT/issues/456",
        ),
        Misconception(
            length_squared,
            "The square of the length is for the whole text. One *token* asks `length` "
            "keys.",
        ),
        Misconception(
            of_the_whole_text,
            "This is the cost of the whole text. Asked is that of each token.",
        ),
        Misconception(
            backward_as_forward,
            "The backward pass has two products for each of the forward pass, the "
            "gradient of the input and that of the weights: 2 + 4.",
        ),
    ),
    slips=(
        Misconception(
            attention_forward_only,
            "Attention's own products have a backward pass, too: three times 4·T·d a "
            "layer.",
        ),
        Misconception(
            inner_width_of_habit, "12d² is a block with d_ff = 4d. Here d_ff is given."
        ),
        Misconception(one_layer_attends, "Every layer attends, not only one."),
        Misconception(
            one_matrix_up, "The feed-forward layer has two matrices: up and down."
        ),
        Misconception(
            three_matrices_attend,
            "Attention has four matrices: the fourth takes its output.",
        ),
        Misconception(
            biases_multiply, "Biases are added, and no part of a matrix product."
        ),
    ),
    hints=(
        "Forward, a matrix of N weights costs 2N a token. And backward?",
        "Which matrices multiply? Four and two in each layer, and the head.",
        "For a token, QKᵀ costs 2·length·d in each layer, and AV as much.",
    ),
)

EXERCISES = [DECODER_PARAMETERS, FLOPS_PER_TOKEN]
