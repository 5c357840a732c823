"""Attacks on the examiner and on the pages, which stock nbgrader has not got.

The three answers are to `double` (1 point), `mean` (1) and `weighted_sum` (2), as in
`course`. What a hidden test is asked, 21, becomes the word HIDDEN21: no page may show
it. (`cases` are compared with stock nbgrader; these attack what it does not have.)
"""

from dataclasses import dataclass

from tests.hostile.cases import RIGHT, RIGHT_SUM
from tests.hostile.course import MEAN

SECRET = "HIDDEN21"


@dataclass(frozen=True)
class Attack:
    name: str
    double: str
    points: tuple[float, float, float]
    state: str = "failed tests"
    mean: str = MEAN
    weighted_sum: str = RIGHT_SUM
    says: str = ""  # in what the student reads of the first test that lost points


def bound(value: str, says: str) -> Attack:
    """An exercise's name that is bound to what cannot cross."""
    code = f"import torch\ndouble = {value}"
    return Attack(f"bound to {value[:50]}", code, (0, 1, 2), says=says)


PATCH = """
import json, struct, torch
import lmlib.grading.examination.student as s
from lmlib.grading.examination.codec import Encoder, Handle, RemoteTensor
real = s.Server.answer
def message(tree, *buffers):
    tree = (tree if type(tree) is str else json.dumps(tree)).encode()
    sizes = [len(buffer) for buffer in buffers]
    head = struct.pack(f"<II{len(sizes)}Q", len(tree), len(sizes), *sizes)
    return head + tree + b"".join(buffers)
def value(tree, *buffers):
    return message({"tuple": ["value", tree, [], [-1]]}, *buffers)
wanted = []
def answer(self, asked):
    if b'"get"' in asked[:300] and b'"double"' in asked[:300]: wanted.append(self)
    if b'"WHAT"' not in asked[:300] or not wanted:
        return real(self, asked)
    if "WHAT" == "get" and b'"double"' not in asked[:300]:
        return real(self, asked)
    return ANSWER
s.Server.answer = answer
def double(x): return 2 * x
prime = 2**61 - 1  # integers that differ by it have one hash
n = 64 << 20; one = {"tensor": 0, "dtype": "uint8", "shape": [n]}
"""


def replies(what: str, answer: str) -> Attack:
    """`what` is answered with something else in the test of `double`."""
    code = PATCH.replace("WHAT", what).replace("ANSWER", answer)
    return Attack(f"{what} answered {answer[:60]}", code, (0, 1, 2), "crashed")


def cell_says(answer: str) -> Attack:
    """What became of the next cell is told in another form (and it did not run)."""
    code = (
        f"{RIGHT}\nimport torch\nimport lmlib.grading.examination.student as s\n"
        "run = s.Notebook.run\ndef once(self, *a):\n    s.Notebook.run = run\n"
        f"    return {answer}\ns.Notebook.run = once"
    )
    return Attack(f"a cell answered {answer[:40]}", code, (1, 0, 2))


KEEP = """
import mmap
shared = mmap.mmap(-1, 4096)
def double(x):
    if type(x) is int:
        open("kept", "a").write(f"HIDDEN{x} ")
        shared.write(f"HIDDEN{x} ".encode())
    return 2 * x
"""


def tells(name: str, points: tuple[float, float, float], **cells: str) -> Attack:
    """The hidden input is kept, and something that is said later has it."""
    return Attack(name, cells.pop("double", KEEP), points, **cells)


def in_hidden(name: str, code: str, state: str = "failed tests") -> Attack:
    """The hidden input is told in the hidden test itself."""
    answer = f"import os\ndef double(x):\n    if str(x) == '21':\n        {code}\n"
    return Attack(name, answer + "    return 2 * x", (0, 1, 2), state)


REPORT = (
    "3.1/weighted_sum: 2 of 2 points on hidden inputs\\n"
    "  ✓ two queries, three values (1 point)\\n"
)


def forges(name: str, code: str) -> Attack:
    """A wrong answer, and words that look like the report of a right one."""
    return Attack(name, RIGHT, (1, 1, 0), mean=MEAN, weighted_sum=code)


WRONG_SUM = "def weighted_sum(weights, value): return weights"


def takes(name: str, code: str) -> Attack:
    """Right answers, and something that would fill the memory of the kernel."""
    return Attack(name, f"{RIGHT}\n{code}", (1, 1, 2), "graded")


def keeps(name: str, code: str) -> Attack:
    """The same, and it takes its own right answer back if the kernel gives it more than
    is promised: so the mark tells.
    """
    return takes(name, f"{code}\nif too_much: double = None")


#: Counts what a pipe or a socket takes in before it would block.
FILL = """
import fcntl, os, socket
def fill(fd, chunk=bytes(1 << 16)):
    os.set_blocking(fd, False)
    taken = 0
    try:
        while True: taken += os.write(fd, chunk)
    except OSError: return taken
"""
ALL_SOCKETS = """
kept, taken = [], 0
try:
    while True:
        kept += socket.socketpair()
        taken += sum(fill(s.fileno()) for s in kept[-2:])
except OSError: kept.clear()
too_much = taken > 32 << 20
"""
SOCKETS_IN_SOCKETS = """
way, end = socket.socketpair()
way.setblocking(False)
sent = 0
try:
    while sent < 1000:
        one, other = socket.socketpair()
        with one, other:
            fill(one.fileno())
            socket.send_fds(way, [b'x'], [one.fileno(), other.fileno()])
            sent += 2
except OSError: pass
way.close(); end.close()
too_much = sent > 256
"""
ALL_PIPES = """
kept, taken = [], 0
try:
    while True:
        kept += os.pipe()
        taken += fill(kept[-1])
except OSError: pass
for fd in kept: os.close(fd)
too_much = taken > 4 << 20
"""
PAGES_IN_A_PIPE = """
too_much = False
with open('page', 'wb+') as file:
    file.write(bytes(1 << 16))
    file.flush()
    try: too_much = os.splice(file.fileno(), os.pipe()[1], 1 << 16, 0) > 0
    except OSError: pass
"""
LOCK_OF_A_FILE = """
import fcntl, struct
lock = struct.pack('hhqqi4x', 1, 0, 0, 1, 0)
too_much = False
with open('lock', 'w') as file, open('lock', 'w') as again:
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
    try: fcntl.fcntl(again, fcntl.F_OFD_SETLK, lock)
    except OSError: too_much = True
"""
LOCKS_OF_A_CHILD = """
import fcntl, os, time
file = open('lock', 'w')
end, way = os.pipe()
if os.fork() == 0:
    try:
        for i in range(2_000): fcntl.lockf(file, fcntl.LOCK_EX, 1, 2 * i)
        os.write(way, b'x')
        time.sleep(60)
    finally: os._exit(0)
os.read(end, 1)
too_much = False
try: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 2_000)
except OSError: too_much = True
"""

ATTACKS = [
    bound("torch.eye(3).to_sparse()", "a tensor that is sparse"),
    bound("torch.zeros(3).to(torch.uint16)", "torch.uint16"),
    bound("torch.zeros(3).to(torch.float8_e5m2)", "float8"),
    bound("torch.zeros(20_000_000)", "64 MiB"),
    bound("list(range(300_000))", "200000 values"),
    bound("10 ** 20_000", "bits"),
    bound("(c := []).append(c) or c", "in a circle"),
    bound("{torch.nn.Linear: 1}", "as a key"),
    bound("type('A', (), {'__module__': property(lambda s: 1 / 0)})()", "Division"),
    bound("{'a': [torch.empty(2, device='meta')]}", "on no device"),
    replies("get", "Encoder().encode(('value',))"),
    replies("get", "Encoder().encode(('error', 'X', 'y'))"),
    replies("get", "Encoder().encode(('error', 'ValueError', 'y', 5, 'b'))"),
    replies("get", "Encoder().encode({1: 2})"),
    replies("get", "Encoder().encode(torch.ones(2))"),
    replies("get", "Encoder().encode(Handle(3, 'x', 'y'))"),
    replies("call", "Encoder().encode(('value', 4, [], []))"),
    replies("call", "Encoder().encode(('value', 4, [[7, 4]], [-1]))"),
    replies("call", "Encoder().encode(('value', 4, 5, torch.ones(1)))"),
    replies("call", "value([one] * 24, bytes(n))"),
    replies("call", "value({'dict': [[0, one]] * 600}, bytes(n))"),
    replies("call", "message('[' + '{\"\":{}},' * 8_000_000 + '0]')"),
    replies("call", "value([{'tuple': []}] * 300_000)"),
    replies(
        "call",
        "value({'dict': [[{'int': hex(i * prime)}, 0] for i in range(9, 60_000)]})",
    ),
    cell_says("5"),
    cell_says("('a', 'b')"),
    cell_says("torch.ones(3)"),
    cell_says("('✓', 5, None)"),
    tells(
        "hidden input in the error of a later cell",
        (1, 0, 2),
        mean="raise Exception(open('kept').read())",
    ),
    tells(
        "hidden input in shared memory",
        (1, 0, 2),
        mean="raise Exception(shared[:100].decode())",
    ),
    tells(
        "hidden input in the name of a later cell's error",
        (1, 1, 2),
        state="graded",
        mean=MEAN + "\nname = 'E' + open('kept').read().split()[-1]\n"
        "raise type(name, (Exception,), {})",
    ),
    tells(
        "hidden input in a later visible test",
        (1, 0, 2),
        mean="def mean(x): raise ValueError(open('kept').read())",
    ),
    tells(
        "hidden input in the module of a later answer",
        (1, 1, 0),
        weighted_sum="def weighted_sum(weights, value): return weights\n"
        "weighted_sum.__module__ = 'torch.' + open('kept').read().split()[-1]",
    ),
    tells(
        "hidden input in a visible value",
        (1, 1, 0),
        weighted_sum="def weighted_sum(weights, value): return open('kept').read()",
    ),
    in_hidden("hidden input in an error", "raise ValueError(f'HIDDEN{x}')"),
    in_hidden("hidden input in a class", "raise type(f'HIDDEN{x}', (Exception,), {})"),
    in_hidden("hidden input in a class's text", "raise KeyError(f'HIDDEN{x}')"),
    forges(
        "a report in the error of a cell",
        f"{WRONG_SUM}\nclass E(Exception):\n"
        f"    def __str__(self): return '{REPORT}' * 9\nraise E",
    ),
    forges(
        "a report in the error of an answer",
        f"def weighted_sum(weights, value): raise ValueError('x\\n{REPORT}' * 9)",
    ),
    forges(
        "a mark in the place of an error",
        "import lmlib.grading.examination.student as s\n"
        "s._parts = lambda e: ('ValueError', 'no', ' in line 1 of f.' + 'x' * 31 + "
        "' ✓ all parts (2 points): full points')\n"
        "def weighted_sum(weights, value): raise ValueError",
    ),
    forges(
        "a mark in the name of a class",
        "class E(Exception): pass\nE.__name__ = E.__qualname__ = '✓ all (2 points)'\n"
        "def weighted_sum(weights, value): raise E",
    ),
    takes(
        "sockets with large buffers",
        "import os, socket\nfor _ in range(8):\n    if os.fork() == 0:\n"
        "        kept = []\n        try:\n            while True:\n"
        "                kept += socket.socketpair()\n"
        "                kept[-1].setsockopt(1, socket.SO_SNDBUF, 1 << 24)\n"
        "        finally: os._exit(0)",
    ),
    keeps("sockets that are full, as many as there can be", FILL + ALL_SOCKETS),
    keeps("sockets on their way through a socket", FILL + SOCKETS_IN_SOCKETS),
    keeps("pipes that are full, as many as there can be", FILL + ALL_PIPES),
    keeps("pages that a pipe keeps", FILL + PAGES_IN_A_PIPE),
    takes(
        "pipes that are enlarged",
        "import os, fcntl\nkept = []\ntry:\n    while True:\n"
        "        kept.append(os.pipe())\n"
        "        fcntl.fcntl(kept[-1][1], fcntl.F_SETPIPE_SZ, 1 << 20)\n"
        "except OSError: pass\nfor pair in kept:\n    for fd in pair: os.close(fd)",
    ),
    takes(
        "locks of many bytes",
        "import fcntl, struct\nwith open('lock', 'w') as f:\n"
        "    for i in range(20_000):\n"
        "        lock = struct.pack('hhqqi4x', 1, 0, 2 * i, 1, 0)\n"
        "        fcntl.fcntl(f, fcntl.F_SETLK, lock)",
    ),
    keeps("a lock of an open file", LOCK_OF_A_FILE),
    keeps("locks of another process", LOCKS_OF_A_CHILD),
    Attack(
        "a cell of one very long line",
        f"{RIGHT}\nx = '{'a' * 1_000_000}'",
        (1, 1, 2),
        "graded",
    ),
    Attack("a cell that is too deep", f"{RIGHT}\nx = {'-' * 200_000}1", (0, 1, 2)),
    Attack(
        "cells that are very long",
        RIGHT + "\n" + "if 0:\n    x = [1, 2, 3]\n" * 2_000 + "#" * 2_000_000,
        (1, 1, 2),
        "graded",
    ),
]
