"""Section 9: a seed for each worker, and a verdict on a loss."""

import hashlib
import math
from typing import Any

import numpy as np
from torch import Generator

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    draw_integer,
    error_type,
    plain_number,
)

# -- worker_seed: find the bug --------------------------------------------------------


def reference_seed(seed: int, epoch: int, worker: int) -> int:
    text = f"{seed}/{epoch}/{worker}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def as_given(seed: int, epoch: int, worker: int) -> int:
    return seed + epoch


def added_up(seed: int, epoch: int, worker: int) -> int:
    return seed + epoch + worker


def exclusive_or(seed: int, epoch: int, worker: int) -> int:
    return seed ^ epoch ^ worker


def hash_of_python(seed: int, epoch: int, worker: int) -> int:
    return hash((seed, epoch, worker)) % 2**64


def joined_without_a_sign(seed: int, epoch: int, worker: int) -> int:
    import hashlib

    text = f"{seed}{epoch}{worker}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def little_end_first(seed: int, epoch: int, worker: int) -> int:
    import hashlib

    text = f"{seed}/{epoch}/{worker}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def the_last_bytes(seed: int, epoch: int, worker: int) -> int:
    import hashlib

    text = f"{seed}/{epoch}/{worker}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[-8:], "big")


def four_bytes(seed: int, epoch: int, worker: int) -> int:
    import hashlib

    text = f"{seed}/{epoch}/{worker}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def worker_before_epoch(seed: int, epoch: int, worker: int) -> int:
    import hashlib

    text = f"{seed}/{worker}/{epoch}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def epoch_forgotten(seed: int, epoch: int, worker: int) -> int:
    import hashlib

    text = f"{seed}/{worker}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def worker_forgotten(seed: int, epoch: int, worker: int) -> int:
    import hashlib

    text = f"{seed}/{epoch}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def sum_in_the_text(seed: int, epoch: int, worker: int) -> int:
    import hashlib

    text = str(seed + epoch + worker)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def the_whole_digest(seed: int, epoch: int, worker: int) -> int:
    import hashlib

    text = f"{seed}/{epoch}/{worker}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


def _whole(value: Any) -> str:
    """A whole number to the last digit, for seeds that are close are not alike."""
    number = plain_number(value)
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"a whole number is expected, got a {type(value).__name__}")
    if abs(number) >= 1 << 256:
        raise ValueError("a number below 2^64 is expected")
    return str(int(number))


def _seed_of(function: Function, args: tuple[Any, ...]) -> str:
    return _whole(function(*args))


def _different_workers(function: Function, args: tuple[Any, ...]) -> int:
    """How many seeds the workers 0 … args[2] − 1 of an epoch have."""
    seed, epoch, workers = args
    return len({_whole(function(seed, epoch, i)) for i in range(workers)})


def _different_at_all(function: Function, args: tuple[Any, ...]) -> int:
    """How many seeds there are in `args[1]` epochs of `args[2]` workers."""
    seed, epochs, workers = args
    grid = [(epoch, worker) for epoch in range(epochs) for worker in range(workers)]
    return len({_whole(function(seed, *place)) for place in grid})


def _one_seed(generator: Generator) -> list[Case]:
    cases = []
    for high in (9, 99):
        seed = draw_integer(generator, 0, 10**6)
        epoch = draw_integer(generator, 1, high)
        worker = epoch + draw_integer(generator, 1, 7)
        says = f"seed {seed}, epoch {epoch}, worker {worker}"
        cases.append(Case((seed, epoch, worker), says))
    return cases


def _large_seed(generator: Generator) -> list[Case]:
    seed = 2**64 + draw_integer(generator, 0, 10**9)
    epoch = draw_integer(generator, 1000, 2000)
    return [Case((seed, epoch, 3), f"seed {seed}, epoch {epoch}, worker 3")]


def _workers(generator: Generator) -> list[Case]:
    seed, epoch = (draw_integer(generator, 0, 10**6) for _ in "se")
    says = f"seed {seed}, epoch {epoch}, workers 0 … 7"
    return [Case((seed, epoch, 8), says)]


def _grid(generator: Generator) -> list[Case]:
    seed = draw_integer(generator, 0, 10**6)
    says = f"seed {seed}, epochs 0 … 11, workers 0 … 11"
    return [Case((seed, 12, 12), says)]


WORKER_SEED = Exercise(
    name="9/worker_seed",
    title="Find the bug: every worker draws alike",
    difficulty=2,
    minutes=15,
    reference=reference_seed,
    parts=(
        Part("the seed of one worker", 1, _one_seed, _seed_of),
        Part("a seed above 2⁶⁴", 1, _large_seed, _seed_of),
        Part(
            "eight workers have eight seeds",
            1,
            _workers,
            _different_workers,
            beside_a_value=True,
        ),
        Part(
            "no two of 12 epochs and 12 workers are alike",
            1,
            _grid,
            _different_at_all,
            beside_a_value=True,
        ),
    ),
    misconceptions=(
        Misconception(
            as_given,
            "The bug is still there: the worker does not enter, and all workers of an "
            "epoch draw alike.",
            "https://github.com/pytorch/pytorch/issues/5059",
        ),
        Misconception(
            added_up,
            "Epoch 1 of worker 0 has the seed of epoch 0 of worker 1: sums collide. "
            "Hash the three numbers, as they are, with a sign between them.",
        ),
        Misconception(
            exclusive_or,
            "Exclusive or collides as a sum does: 1 ^ 0 = 0 ^ 1, and epoch 5 of "
            "worker 5 is no other than epoch 0 of worker 0.",
        ),
        Misconception(
            hash_of_python,
            "`hash` is Python's own, which no other program has, and for text it "
            "differs from process to process: take SHA-256.",
        ),
        Misconception(
            joined_without_a_sign,
            'Without a sign between them 1 and 12 are the text "112", as 11 and 2 '
            'are: join by "/".',
        ),
        Misconception(
            little_end_first,
            "You read the bytes with the little end first: big-endian is asked for.",
        ),
        Misconception(
            the_last_bytes, "You took the last eight bytes of the digest: the first."
        ),
        Misconception(
            four_bytes,
            "You took four bytes (or eight hexadecimal digits, which are four bytes): "
            "eight are asked for.",
        ),
        Misconception(
            worker_before_epoch,
            "The order is seed, epoch, worker: you have swapped two.",
        ),
        Misconception(
            epoch_forgotten,
            "The epoch does not enter: every epoch draws what the first one did.",
            "https://github.com/pytorch/pytorch/issues/41329",
        ),
        Misconception(
            worker_forgotten,
            "The worker does not enter: all workers of an epoch draw alike.",
            "https://github.com/facebookresearch/fairseq/issues/1383",
        ),
        Misconception(
            sum_in_the_text,
            "You hash the sum, and what was equal before the hash is equal after it.",
        ),
        Misconception(
            the_whole_digest,
            "That is the whole digest, 256 bits: the first eight bytes of it.",
        ),
    ),
    hints=(
        'The text is f"{seed}/{epoch}/{worker}"; `hashlib.sha256` wants bytes.',
        '`int.from_bytes(some_bytes, "big")`.',
    ),
)


# -- verdict --------------------------------------------------------------------------


def reference_verdict(
    bits_per_token: float,
    bytes_per_token: float,
    vocab_size: int,
    floor: float = 0.6,
) -> str:
    if not min(bits_per_token, bytes_per_token, vocab_size, floor) > 0:
        raise ValueError("all must be positive")
    if bits_per_token / bytes_per_token < floor:
        return "leak"
    if bits_per_token >= 0.98 * math.log2(vocab_size):
        return "untrained"
    return "plausible"


def floor_for_tokens(
    bits_per_token: float,
    bytes_per_token: float,
    vocab_size: int,
    floor: float = 0.6,
) -> str:
    if not min(bits_per_token, bytes_per_token, vocab_size, floor) > 0:
        raise ValueError("all must be positive")
    if bits_per_token < floor:
        return "leak"
    if bits_per_token >= 0.98 * math.log2(vocab_size):
        return "untrained"
    return "plausible"


def bytes_multiplied(
    bits_per_token: float,
    bytes_per_token: float,
    vocab_size: int,
    floor: float = 0.6,
) -> str:
    if not min(bits_per_token, bytes_per_token, vocab_size, floor) > 0:
        raise ValueError("all must be positive")
    if bits_per_token * bytes_per_token < floor:
        return "leak"
    if bits_per_token >= 0.98 * math.log2(vocab_size):
        return "untrained"
    return "plausible"


def natural_logarithm(
    bits_per_token: float,
    bytes_per_token: float,
    vocab_size: int,
    floor: float = 0.6,
) -> str:
    if not min(bits_per_token, bytes_per_token, vocab_size, floor) > 0:
        raise ValueError("all must be positive")
    if bits_per_token / bytes_per_token < floor:
        return "leak"
    if bits_per_token >= 0.98 * math.log(vocab_size):
        return "untrained"
    return "plausible"


def chance_for_bytes(
    bits_per_token: float,
    bytes_per_token: float,
    vocab_size: int,
    floor: float = 0.6,
) -> str:
    if not min(bits_per_token, bytes_per_token, vocab_size, floor) > 0:
        raise ValueError("all must be positive")
    if bits_per_token / bytes_per_token < floor:
        return "leak"
    if bits_per_token / bytes_per_token >= 0.98 * math.log2(vocab_size):
        return "untrained"
    return "plausible"


def floor_is_a_leak(
    bits_per_token: float,
    bytes_per_token: float,
    vocab_size: int,
    floor: float = 0.6,
) -> str:
    if not min(bits_per_token, bytes_per_token, vocab_size, floor) > 0:
        raise ValueError("all must be positive")
    if bits_per_token / bytes_per_token <= floor:
        return "leak"
    if bits_per_token >= 0.98 * math.log2(vocab_size):
        return "untrained"
    return "plausible"


def untrained_first(
    bits_per_token: float,
    bytes_per_token: float,
    vocab_size: int,
    floor: float = 0.6,
) -> str:
    if not min(bits_per_token, bytes_per_token, vocab_size, floor) > 0:
        raise ValueError("all must be positive")
    if bits_per_token >= 0.98 * math.log2(vocab_size):
        return "untrained"
    if bits_per_token / bytes_per_token < floor:
        return "leak"
    return "plausible"


def no_room_below_chance(
    bits_per_token: float,
    bytes_per_token: float,
    vocab_size: int,
    floor: float = 0.6,
) -> str:
    if not min(bits_per_token, bytes_per_token, vocab_size, floor) > 0:
        raise ValueError("all must be positive")
    if bits_per_token / bytes_per_token < floor:
        return "leak"
    if bits_per_token >= math.log2(vocab_size):
        return "untrained"
    return "plausible"


def near_chance_alone(
    bits_per_token: float,
    bytes_per_token: float,
    vocab_size: int,
    floor: float = 0.6,
) -> str:
    if not min(bits_per_token, bytes_per_token, vocab_size, floor) > 0:
        raise ValueError("all must be positive")
    if bits_per_token / bytes_per_token < floor:
        return "leak"
    chance = math.log2(vocab_size)
    if abs(bits_per_token - chance) <= 0.02 * chance:
        return "untrained"
    return "plausible"


def floor_not_asked(
    bits_per_token: float,
    bytes_per_token: float,
    vocab_size: int,
    floor: float = 0.6,
) -> str:
    if not min(bits_per_token, bytes_per_token, vocab_size, floor) > 0:
        raise ValueError("all must be positive")
    if bits_per_token / bytes_per_token < 0.6:
        return "leak"
    if bits_per_token >= 0.98 * math.log2(vocab_size):
        return "untrained"
    return "plausible"


def no_error_for_no_loss(
    bits_per_token: float,
    bytes_per_token: float,
    vocab_size: int,
    floor: float = 0.6,
) -> str:
    if bytes_per_token and bits_per_token / bytes_per_token < floor:
        return "leak"
    if bits_per_token >= 0.98 * math.log2(max(vocab_size, 1)):
        return "untrained"
    return "plausible"


def _word(function: Function, args: tuple[Any, ...]) -> Any:
    """A word is a word, numpy's too; case and blanks are no matter."""
    given = function(*args)
    if isinstance(given, np.str_):
        given = str(given)
    return given.strip().lower() if type(given) is str else given


def _uniform(generator: Generator, low: float, high: float) -> float:
    return round(low + (high - low) * draw_integer(generator, 0, 10**6) / 10**6, 4)


def _judged(bits: float, n_bytes: float, vocab: int, *floor: float) -> Case:
    says = f"{bits:g} bits and {n_bytes:g} bytes a token, {vocab} tokens"
    args = (bits, n_bytes, vocab, *floor)
    return Case(args, says + "".join(f", floor {f:g}" for f in floor))


def _leaks(generator: Generator) -> list[Case]:
    """Above the floor for a token, below it for both; and with a floor of its own."""
    n_bytes = _uniform(generator, 3.5, 5.0)
    low, between = _uniform(generator, 0.3, 0.5), _uniform(generator, 0.75, 0.95)
    just = 0.6 * _uniform(generator, 0.984, 0.996)
    return [
        _judged(round(low * n_bytes, 4), n_bytes, 4096),
        _judged(low, n_bytes, 4096),
        _judged(round(just * n_bytes, 4), n_bytes, 4096),
        _judged(round(between * n_bytes, 4), n_bytes, 4096, 1.0),
    ]


def _untrained(generator: Generator) -> list[Case]:
    """Just below chance, and far above it."""
    vocab = draw_integer(generator, 20_000, 60_000)
    chance = math.log2(vocab)
    return [
        _judged(round(_uniform(generator, 0.984, 0.996) * chance, 4), 4.2, vocab),
        _judged(round(_uniform(generator, 1.3, 2.0) * chance, 4), 4.2, vocab),
    ]


def _plausible(generator: Generator) -> list[Case]:
    """Between ln V and log₂ V, and near it; on the floor; and above a lower one."""
    vocab = draw_integer(generator, 20_000, 60_000)
    share, near = _uniform(generator, 0.75, 0.9), _uniform(generator, 0.96, 0.975)
    power = 2.0 ** draw_integer(generator, 1, 3)
    half = draw_integer(generator, 1, 3) / 4
    return [
        _judged(round(share * math.log2(vocab), 4), 4.2, vocab),
        _judged(round(near * math.log2(vocab), 4), 4.2, vocab),
        _judged(half * power, power, vocab, half),
        _judged(round(_uniform(generator, 0.4, 0.55) * 4, 4), 4.0, vocab, 0.25),
    ]


def _both(generator: Generator) -> list[Case]:
    """Few choices and long tokens: chance itself is below the floor."""
    vocab = draw_integer(generator, 2, 8)
    bits = round(_uniform(generator, 1.01, 1.2) * math.log2(vocab), 4)
    return [_judged(bits, round(bits / _uniform(generator, 0.2, 0.5), 4), vocab)]


def _not_positive(generator: Generator) -> list[Case]:
    bits, n_bytes = _uniform(generator, 2.0, 6.0), _uniform(generator, 3.0, 5.0)
    return [
        _judged(-bits, n_bytes, 4096),
        _judged(0.0, n_bytes, 4000 + draw_integer(generator, 0, 999)),
        _judged(bits, 0.0, 4096),
        _judged(bits, n_bytes, 0),
        _judged(bits, n_bytes, 4096, -0.5),
    ]


VERDICT = Exercise(
    name="9/verdict",
    title="A verdict on a loss",
    difficulty=1,
    minutes=10,
    reference=reference_verdict,
    parts=(
        Part("too good: a leak", 1, _leaks, _word),
        Part("nothing learned", 1, _untrained, _word),
        Part("plausible, on the floor too", 1, _plausible, _word),
        Part("below the floor and at chance", 1, _both, _word),
        Part("what is not positive: ValueError", 1, _not_positive, error_type),
    ),
    misconceptions=(
        Misconception(
            floor_for_tokens,
            "The floor is in bits a *byte*: divide by the bytes of a token first.",
        ),
        Misconception(
            bytes_multiplied,
            "Bits a token over bytes a token are bits a byte: divide, don't multiply.",
        ),
        Misconception(
            natural_logarithm,
            "The loss is in bits, so chance is log₂ of the vocabulary, not ln.",
        ),
        Misconception(
            chance_for_bytes,
            "log₂ of the vocabulary is chance for a *token*: compare bits a token "
            "with it.",
        ),
        Misconception(floor_is_a_leak, "On the floor is not below it: `<`, not `<=`."),
        Misconception(
            untrained_first,
            "Where both hold it is a leak: test that first. A model that knows "
            "nothing cannot be below the floor by right.",
        ),
        Misconception(
            no_room_below_chance,
            "A fresh model lies a little to either side of chance: from 2 % below "
            "log₂ V on it is untrained.",
        ),
        Misconception(
            near_chance_alone,
            "Far above chance is untrained as well, and worse: at 2 % below log₂ V "
            "or anywhere above.",
        ),
        Misconception(
            floor_not_asked, "The floor is an argument: 0.6 is only its default."
        ),
        Misconception(
            no_error_for_no_loss,
            "Bits, bytes, vocabulary and floor must be positive: raise ValueError.",
        ),
    ),
    hints=(
        "Two numbers are compared with two limits, and each has its own unit.",
        "`0.98 * math.log2(vocab_size)`, in bits a token.",
    ),
)

EXERCISES = [WORKER_SEED, VERDICT]
