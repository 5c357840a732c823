"""Whatever a student's process answers, it costs the test at hand and no more."""

import json
import random
import socket
import struct
import threading
import time

import numpy as np
import pytest
import torch

from lmlib.grading.examination import examiner, messages, wire
from lmlib.grading.examination.codec import (
    CodecError,
    Decoder,
    Encoder,
    Handle,
    RemoteTensor,
)

ANSWERS = 200  # of each kind
REQUESTS = {
    "get": ("get", "f"),
    "references": ("references", ["3.1/weighted_sum"]),
    "leaf": ("leaf", 3),
    "attribute": ("attribute", "f", "x"),
    "item": ("item", "f", 0),
    "call": ("call", "f", [torch.zeros(2), [1], {}, np.zeros(2)], {"k": 1}),
    "gradient": ("gradient", 0, torch.zeros(2), [0, 1]),
}
WORDS = [
    "value",
    "error",
    "",
    "ValueError",
    "KeyError",
    "UnicodeDecodeError",
    "ExceptionGroup",
    "StopIteration",
    "no name",
    "\x00",
    "\ud800",
    " in line 3 of f",
    "✓ all (2 points)\n",
    "x" * 3000,
]
LEAVES = [
    lambda r: r.choice(WORDS),
    lambda r: r.choice([None, True, 0, -1, 5, 1 << 62, 1.5, float("nan")]),
    lambda r: r.choice([b"", b"x", ..., slice(1, 2), torch.float32, torch.Size([2])]),
    lambda r: torch.zeros(r.choice([(), (2,), (0, 3), (1, 2, 3)])),
    lambda r: torch.zeros(2, dtype=r.choice([torch.bool, torch.int8, torch.bfloat16])),
    lambda r: np.zeros(r.choice([(), 2])) if r.random() < 0.7 else np.float64(2.0),
    lambda r: Handle(r.choice([0, -1, 1 << 40]), r.choice(WORDS), r.choice(WORDS)),
    lambda r: RemoteTensor(r.randint(-1, 3), torch.ones(2), r.choice([(), (0, 9)])),
]


def value(r: random.Random, depth: int = 0):
    """Anything that can be sent."""
    if depth > 2 or r.random() < 0.6:
        return r.choice(LEAVES)(r)
    inner = [value(r, depth + 1) for _ in range(r.randint(0, 4))]
    kind = r.choice([list, tuple, dict])
    return kind(inner) if kind is not dict else dict(zip("abcd", inner, strict=False))


def answer(r: random.Random):
    """Anything, most often nearly what is right."""
    if r.random() < 0.2:
        return value(r)
    if r.random() < 0.3:
        return ("error", *(r.choice(WORDS) for _ in range(r.choice([2, 3, 4, 4, 5]))))
    parts = [value(r) for _ in range(r.randint(0, 3))]
    if len(parts) == 3 and r.random() < 0.8:  # a call, perhaps
        parts[1] = [[r.randint(-1, 4), value(r)] for _ in range(r.randint(0, 2))]
        parts[2] = [r.choice([-1, 0, 7, "x"]) for _ in range(r.choice([5, 5, 4]))]
    if len(parts) == 1 and r.random() < 0.5:
        parts = [[r.choice([None, torch.zeros(2), value(r)]) for _ in range(2)]]
    elif len(parts) == 1 and r.random() < 0.2:
        parts = [RemoteTensor(3, torch.ones(2))]
    return ("value", *parts)


def sent(r: random.Random) -> bytes:
    """The answer as bytes, now and then with some of them changed."""
    data = Encoder(lambda v: Handle(0, "object")).encode(answer(r))
    if r.random() < 0.2:
        changed = bytearray(data)
        for _ in range(r.randint(1, 3)):
            changed[r.randrange(len(changed))] = r.randrange(256)
        data = bytes(changed)
    return data


class Sham:
    """The student's end of a test: it answers everything with what is generated."""

    def __init__(self, r: random.Random) -> None:
        ours, self.theirs = socket.socketpair()
        self.test = object.__new__(examiner.Test)
        self.test.cells, self.test.references = [], []
        self.test.more_references, self.test.lost, self.test.leaves = False, None, {}
        self.test.connection, self.test.deadline = ours, time.monotonic() + 60
        threading.Thread(target=self.answer, args=(r,), daemon=True).start()

    def answer(self, r: random.Random) -> None:
        try:
            while True:
                wire.receive(self.theirs)
                wire.send(self.theirs, sent(r))
        except wire.Closed:
            pass


@pytest.mark.parametrize("operation", REQUESTS)
def test_any_answer_is_a_value_an_error_or_the_loss_of_the_test(operation):
    seen = {came_of(operation, seed) for seed in range(ANSWERS)}
    assert seen == {"value", "lost", "error"}


def came_of(operation: str, seed: int) -> str:
    sham = Sham(random.Random(f"{operation} {seed}"))
    function = examiner.Remote(sham.test, Handle(0))
    _, *request = [function if p == "f" else p for p in REQUESTS[operation]]
    raised: BaseException | None = None
    try:
        if operation == "call":
            examiner._call(sham.test, function, request[1], request[2])
        else:
            for part in sham.test.ask(operation, *request):
                examiner._settle(sham.test, part, {})
    except (Exception, examiner.SessionLost) as error:
        raised = error
    finally:
        sham.test.connection.close()
    if raised is None:
        return "value"
    if isinstance(raised, examiner.SessionLost):
        assert raised.state == "crashed"
        return "lost"
    assert hasattr(raised, "where"), (seed, repr(raised))  # it is the one that was sent
    assert "\n" not in str(raised)
    return "error"


@pytest.mark.parametrize("of", [messages.of_a_cell, messages.of_an_end])
def test_any_answer_of_the_process_itself_is_read(of):
    for seed in range(ANSWERS):
        r = random.Random(seed)
        try:
            found = Decoder().decode(sent(r))
        except CodecError:
            continue
        try:
            told = of(found)
        except CodecError:
            assert of is messages.of_an_end
        else:
            assert "\n" not in str(told)
            assert "✓" not in str(told)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (" in line 3 of f", " in line 3 of f"),
        (" in line 3 of the cell", " in line 3 of the cell"),
        (" in line 3 of <lambda>", " in line 3 of <lambda>"),
        (" in line 3", " in line 3"),
        (" in line 1 of f. ✓ all parts (2 points)", ""),
        (" in line 3 of f\n", ""),
        ("anything", ""),
    ],
)
def test_a_place_is_a_place(said, kept):
    failed = messages.of_a_cell(("ValueError", "no", said))
    assert failed.where == kept


def message(tree: str, *buffers: bytes) -> bytes:
    sizes = struct.pack(f"<{len(buffers)}Q", *map(len, buffers))
    head = struct.pack("<II", len(tree), len(buffers)) + sizes
    return head + tree.encode() + b"".join(buffers)


ONE = {"tensor": 0, "dtype": "uint8", "shape": [4]}
PRIME = 2**61 - 1  # integers that differ by it have one hash


@pytest.mark.parametrize(
    "tree",
    [
        [ONE, ONE],
        {"tuple": [ONE, {"bytes": 0}]},
        [{"text": 0}, {"text": 0}],
        {"dict": [[0, 1], [0, 2]]},
        {"dict": [[1, 1], [True, 2]]},
        {"dict": [[{"tuple": [n]}, n] for n in range(1001)]},
        {"dict": [[{"int": hex((1 << 64) + n * PRIME)}, n] for n in range(3)]},
        [{"": {}}] * 400_000,
        [{"tensor": -1, "dtype": "uint8", "shape": [4]}],
        ["x" * (17 << 20)],
        10**4299,
    ],
    ids=lambda tree: str(tree)[:40],
)
def test_what_would_cost_much_is_refused_before_it_does(tree):
    with pytest.raises(CodecError):
        Decoder().decode(message(json.dumps(tree), b"abcd"))


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch's, on some of these
@pytest.mark.parametrize(
    "kind",
    [
        lambda: torch.eye(2).to_sparse(),
        lambda: torch.zeros(2).to(torch.uint16),
        lambda: torch.zeros(2).to(torch.float8_e4m3fn),
        lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        lambda: torch.empty(2, device="meta"),
        lambda: torch.zeros(20_000_000),
        lambda: 10**20_000,
        lambda: {int: 1},
        lambda: {1 << 64: 1},
    ],
)
def test_what_cannot_cross_is_told_in_words(kind):
    with pytest.raises(CodecError) as told:
        Encoder(lambda v: Handle(0)).encode(kind())
    assert len(str(told.value)) > 15


def test_what_is_sent_can_be_read():
    """The limits of both sides are the same: nothing is lost for being long."""
    keys = {(n,): n for n in range(1000)}
    for value in ["x" * 1000, "\ud800" * 100, keys, 1 << 13_999]:
        assert Decoder().decode(Encoder().encode(value)) == value
    with pytest.raises(CodecError):
        Encoder().encode(["\ud800" * 64] * 60_000)
