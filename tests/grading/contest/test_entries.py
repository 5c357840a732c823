"""Entries of the contest: honest ones come back, and no cheat of the rules pays.

Whole classes of entries: `test_marking`.
"""

import ast
import lzma
import mmap
import os
import re
import resource
from contextlib import suppress

import nbformat
import pytest

from lmlib.grading.assignment import ROOT
from lmlib.grading.contest import entries, scores, texts
from lmlib.grading.contest.entries import Limits, Text, canonical, run_entry, weigh
from lmlib.grading.contest.room import ABSENT, room
from lmlib.grading.results import report
from lmlib.grading.results.record import Record
from lmlib.grading.sandbox import confinement

SAMPLES = {p.stem: p for p in (ROOT / "book/_experiments/5-capstone").glob("*.py")}
TEXT = b"".join(
    b"A text of %d lines, and this is line %d.\n" % (40, i) for i in range(40)
)
SHORT = Limits(seconds=5.0)


def entry(compress, decompress="return archive", before=""):
    return (
        f"{before}\ndef compress(data):\n    {compress}\n"
        f"def decompress(archive):\n    {decompress}\n"
    )


def outcome(sandbox, source, *data, limits=SHORT, **options):
    data = data or (TEXT,)
    return run_entry(
        source,
        [Text(f"{i}", d, **options) for i, d in enumerate(data)],
        limits,
        sandbox,
    )


# -- The samples ----------------------------------------------------------------------


def test_the_torture_is_borne_by_a_right_entry_and_costs_a_careless_one(sandbox):
    tortures = texts.torture(b"\x01an archive", size=512)
    right = run_entry(SAMPLES["order-0"].read_text(), tortures, SHORT, sandbox)
    assert right.whole, right
    careless = entry(
        "return data.decode().replace('\\r', '').encode()", "return archive"
    )
    found = run_entry(careless, tortures, SHORT, sandbox)
    lost = {run.name: run.problem for run in found.runs if run.problem}
    assert set(lost) == {"all 256 bytes", "random", "invalid UTF-8", "CRLF"}
    assert "carriage returns" in lost["CRLF"]
    grows = entry("return data + bytes(len(data) // 50)", "return archive")
    found = run_entry(grows, tortures[4:5], SHORT, sandbox)
    assert "the archive has 522 bytes, not 514" in found.runs[0].problem


def test_samples_and_starter_have_one_coder_and_differ_in_what_they_believe():
    (starter,) = (
        cell.source
        for cell in nbformat.read(
            ROOT / "exercises/c-capstone/c-capstone.ipynb", 4
        ).cells
        if cell.id == "compressor"
    )
    coders = set()
    names = ("order-0", "order-1", "order-2", "two-orders", "seven-contexts", "salted")
    for source in (starter, *(SAMPLES[name].read_text() for name in names)):
        kept = [
            ast.unparse(node)
            for node in ast.parse(source).body
            if isinstance(node, ast.FunctionDef)
            and node.name in ("compress", "decompress", "length", "code")
        ]
        assert len(kept) == 4
        coders.add("\n".join(kept))
    assert len(coders) == 1


# -- What is weighed is what is run ---------------------------------------------------


def test_comments_docstrings_and_layout_weigh_nothing_and_are_not_run(sandbox):
    plain = entry("return data")
    wordy = (
        '"""A dictionary of English: the of and to."""\n# and another one\n\n\n\n'
        + entry('"""of data"""\n    "more"\n\n    return data  # so')
    )
    assert weigh(wordy) == weigh(plain)
    assert canonical(wordy) == canonical(plain) == canonical(canonical(plain))
    # The cheats: a text in a docstring, and a number in the lines before a function.
    reads = entry(
        "return b''",
        "return (f.__doc__ or '').encode() + b'%d' % f.__code__.co_firstlineno",
        "\n" * 300 + "def f():\n    'hidden words'",
    )
    (run,) = outcome(sandbox, reads, b"hidden words301").runs
    assert "right up to byte 0" in run.problem
    assert "1 bytes of 15" in run.problem


def test_an_honest_layout_survives_being_written_anew(sandbox):
    honest = entry(
        """
    try:
        for _ in data: "of each byte"
        else: "of none"
    finally:
        "nothing to clear away"
    match len(data):
        case 0: "empty"
    return f"{'x'!r:>{4}}".encode() + data""".strip(),
        "return archive[4:]",
        "'of an entry'\nfrom __future__ import annotations\nclass A: 'empty'",
    )
    assert canonical(canonical(honest)) == canonical(honest)
    assert outcome(sandbox, honest).whole


def test_the_longest_source_is_taken_and_one_byte_more_is_not():
    source = f"x = '{'a' * (Limits.source - 6)}'"
    assert len(canonical(source)) == Limits.source
    with pytest.raises(ValueError, match="has 65,537 bytes; 65,536 are the most"):
        canonical(source.replace("x", "xx"))


def test_the_program_weighs_what_xz_makes_of_it_and_long_names_count():
    source = canonical(entry("return data"))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    assert weigh(source) == len(lzma.compress(source.encode(), 3, filters=filters))
    longer = source.replace("data", "the_bytes_that_are_to_be_compressed")
    assert weigh(longer) > weigh(source)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def compress(data: return data", "no Python, line 1"),
        ("x = " + "(" * 500 + ")" * 500, "no Python|too deep"),
        ("x = " + "-" * 100_000 + "1", "too deep|no Python"),
        ("TABLE = " + repr(os.urandom(40_000)), "65,536 are the most"),
        ("x = 1\n" * 200_000, "far more"),
        ("x = '\ud800'", "cannot be written anew: .*surrogates"),
        ("x = 0x" + "f" * 5000, "cannot be written anew: .*4300 digits"),
        ("x = '\0'", "null bytes"),
    ],
)
def test_a_source_that_cannot_be_weighed_is_refused(sandbox, source, says):
    found = run_entry(source, [Text("", b"")], SHORT, sandbox)
    assert not found.runs or found.runs[0].problem
    assert found.total is None
    with pytest.raises(ValueError, match=says):
        canonical(source)


# -- Cheats ---------------------------------------------------------------------------

KEEP = """
import os
import re
def compress(data):
    KEPT = data
    globals()['KEPT'] = data
    try:
        open('kept', 'wb').write(data)
    except OSError: pass
    try:
        if os.fork() == 0:
            import time; time.sleep(60)
    except OSError: pass
    return b''
def decompress(archive):
    found = globals().get('KEPT', b'')
    for folder, _, names in os.walk('/'):
        for name in names:
            if name == 'kept': found = open(os.path.join(folder, name), 'rb').read()
    return found
"""

#: name → what compress and decompress do, and what is said of it.
CHEATS = {
    "a subclass of bytes": (
        ("return B(data)", "return archive", "class B(bytes):\n    x = 1"),
        "gave B, not bytes",
    ),
    "many pieces": (
        ("return [data[:9], data[9:]]", "return archive", ""),
        "gave list, not bytes",
    ),
    "a text in place of bytes": (
        ("return data.decode('latin-1')", "return archive", ""),
        "gave str, not bytes",
    ),
    "a codec": (
        ("return codecs.encode(data, 'bz2')", "return archive", "import codecs"),
        "unknown encoding",
    ),
    "numpy's zip": (
        (
            "f = io.BytesIO(); np.savez_compressed(f, x=data); return f.getvalue()",
            "return archive",
            "import io, numpy as np",
        ),
        "No module named 'zipfile'",
    ),
    "the documentation of Python": (
        ("return __import__('pydoc_data.topics').x", "return archive", ""),
        "No module named 'pydoc_data'",
    ),
    "lmlib": (("import lmlib", "return archive", ""), "No module named 'lmlib'"),
    "a program": (
        ("os.execv('/usr/bin/xz', ['xz'])", "return archive", "import os"),
        "FileNotFoundError|PermissionError",
    ),
    "the network": (("import socket", "return archive", ""), "No module named"),
    "a thread": (
        ("_thread.start_new_thread(print, ())", "return archive", "import _thread"),
        "can't start new thread",
    ),
    "a second process": (
        ("os.fork(); return data", "return archive", "import os"),
        "Resource temporarily unavailable",
    ),
    "the frames and objects of whoever called": (
        (
            "return b''",
            """
    found, frame = [archive], sys._getframe()
    while frame := frame.f_back:
        found += [*frame.f_locals.values(), *frame.f_globals.values()]
    found += gc.get_objects()
    return max((x for x in found if type(x) is bytes), key=len)""",
            "import gc, sys",
        ),
        "0 bytes of 1,630",
    ),
    "memory behind an array": (
        (
            "return b''",
            "x = np.lib.stride_tricks.as_strided(np.zeros(1, 'u1'), (1 << 16,), (1,))"
            "\n    at = bytes(x).find(b'A text of'); return bytes(x[at:at + 1630])",
            "import numpy as np",
        ),
        "another text|ended its process",
    ),
    "an own machine code": (
        (
            "os.write(os.open('x.so', os.O_CREAT | os.O_WRONLY), data)",
            "return archive",
            "import os",
        ),
        "File too large|Permission",
    ),
    "a bomb": (("return bytes(1 << 18)", "return archive", ""), "more than 131,072"),
    "a gigabyte": (("x = bytes(1 << 31)", "return archive", ""), "Memory|memory"),
    "the end of the process": (
        ("os._exit(0)", "return archive", "import os"),
        "ended its process",
    ),
    "a signal": (
        ("os.kill(os.getpid(), 9)", "return archive", "import os"),
        "ended its process",
    ),
    "a word on the socket": (
        (
            "os.write(int(sys.argv[1]), b'x'); os._exit(0)",
            "return archive",
            "import os, sys",
        ),
        "ended its process",
    ),
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_gets_no_total(sandbox, name):
    parts, says = CHEATS[name]
    found = outcome(sandbox, entry(*parts))
    assert found.total is None
    assert re.search(says, found.runs[0].problem), found


def test_nothing_is_kept_from_one_process_to_the_other(sandbox):
    found = outcome(sandbox, KEEP, TEXT, b"another text")
    assert [run.archive for run in found.runs] == [0, 0]
    assert found.total is None
    assert all("another text" in run.problem for run in found.runs)


def test_bytes_that_are_written_behind_the_value_are_counted(sandbox):
    slips = entry(
        "os.write(int(sys.argv[1]), b'v' + data); return b''",
        "return archive[: archive.rindex(b'v')]",
        "import os, sys",
    )
    (run,) = outcome(sandbox, slips).runs
    assert run.archive > len(TEXT)


def test_a_type_that_lies_has_all_that_it_sends_counted(sandbox):
    lies = entry(
        "builtins.type = lambda value: bytes; return B(data)",
        "return archive",
        "import builtins\n"
        "class B(bytes):\n    def __radd__(self, other): return other + self[:] * 2",
    )
    (run,) = outcome(sandbox, lies).runs
    assert run.archive == 2 * len(TEXT)


def test_a_table_of_a_text_is_weighed(sandbox):
    table = os.urandom(2000)
    knows = entry("return b''", "return T", f"T = {table!r}")
    found = outcome(sandbox, knows, table)
    assert found.whole
    assert found.total > len(table)


#: Which pages of the room's files stay in memory, a bit each.
PAGES = """
import os, sys
def places():
    for folder, _, names in sorted(os.walk(sys.prefix)):
        for name in sorted(names):
            path = os.path.join(folder, name)
            if "openblas" in name:
                file = os.open(path, os.O_RDONLY)
                for at in range(1 << 20, os.path.getsize(path) - (1 << 18), 1 << 18):
                    yield file, at
def compress(data):
    for byte, place in zip(data, zip(*[places()] * 8)):
        for i, (file, at) in enumerate(place):
            if byte >> i & 1:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
                os.pread(file, 1 << 18, at)
            else:
                os.posix_fadvise(file, at, 1 << 18, os.POSIX_FADV_DONTNEED)
    return b""
def decompress(archive):
    bits = []
    for file, at in places():
        try:
            os.preadv(file, [bytearray(1 << 12)], at + (1 << 17), os.RWF_NOWAIT)
            bits.append(1)
        except BlockingIOError:
            bits.append(0)
    return bytes([sum(bit << i for i, bit in enumerate(bits[:8]))])
"""


def test_an_entry_comes_back_in_each_sandbox(each_sandbox):
    # Without namespaces the room and Python may lie where only root can read.
    assert outcome(each_sandbox, SAMPLES["stored"].read_text()).whole


def test_an_entry_comes_back_to_a_large_caller_with_nothing_free(sandbox, monkeypatch):
    spawn = confinement.spawn

    def filled(enter, *others, **named):
        def full():
            whole, held = resource.getrlimit(resource.RLIMIT_AS), []
            resource.setrlimit(resource.RLIMIT_AS, (1 << 20, whole[1]))
            for size in (4096, 2048, *range(1024, 15, -16)):
                with suppress(MemoryError):
                    while True:
                        held.append(bytes(size))
            resource.setrlimit(resource.RLIMIT_AS, whole)
            enter()

        return spawn(full, *others, **named)

    monkeypatch.setattr(confinement, "spawn", filled)
    with mmap.mmap(-1, 2 << 30):
        assert outcome(sandbox, SAMPLES["stored"].read_text()).whole


def test_what_lies_in_memory_of_the_rooms_files_is_no_message(each_sandbox):
    # Where files lie on a disk; those of a tmpfs never leave memory.
    for data in (b"\x5a", b"\xa5"):
        (run,) = outcome(each_sandbox, PAGES, data).runs
        assert run.archive == 0
        assert "1 bytes of 1, right up to byte 0" in run.problem


def test_when_a_file_of_the_room_was_read_is_no_message(each_sandbox):
    (file,) = room().folder.rglob("colorsys.pyc")
    tells = entry(
        "_ = data == b'1' and open(FILE, 'rb').read(); return b''",
        "return b'%d' % (time.time() - os.stat(FILE).st_atime < 80_000)",
        f"import os, time\nFILE = {str(file)!r}",
    )
    for data in (b"0", b"1"):
        os.utime(file, (file.stat().st_mtime - 200_000, file.stat().st_mtime))
        (run,) = outcome(each_sandbox, tells, data).runs
        assert run.archive == 0
        assert bool(run.problem) == (data == b"0"), run.problem


def test_the_two_directions_have_other_hash_seeds_and_empty_folders(sandbox):
    tells = entry(
        "return b'%d %d' % (hash(b'x'), len(os.listdir('.')))",
        "return archive + b'|%d %d' % (hash(b'x'), len(os.listdir('.')))",
        "import os",
    )
    want = b"0"  # never comes back: what it is told is looked at
    found = outcome(sandbox, tells, want)
    assert found.runs[0].problem
    shown = entry(
        "return b'%d' % hash(b'x')",
        "raise ValueError(archive, b'%d' % hash(b'x'), os.listdir('.'), "
        "sorted(os.environ))",
        "import os",
    )
    said = outcome(sandbox, shown, want).runs[0].problem
    first, second = (part.split("'")[0] for part in said.split("b'")[1:3])
    assert first != second
    assert "[], " in said
    assert "PYTHONHASHSEED" in said
    assert "SECRET" not in said


def test_an_endless_loop_costs_its_text_and_the_others_go_on(sandbox):
    loops = entry("\n    while data[:1] == b'A': pass\n    return data".strip())
    limits = Limits(seconds=0.3)
    bad, good = outcome(sandbox, loops, TEXT, b"another", limits=limits).runs
    assert bad.problem == "compress took more than 0.3 s"
    assert not good.problem
    deaf = "signal.signal(signal.SIGXCPU, print)\n    while True: pass"
    loops = entry(deaf, before="import _signal as signal")
    (bad,) = outcome(sandbox, loops, limits=limits).runs
    assert bad.problem == "compress took more than 0.3 s"
    searches = entry(
        "return blake2s(data).digest()",
        "return next(x for n in count() "
        "if blake2s(x := n.to_bytes(9, 'big')).digest() == archive)",
        "from _blake2 import blake2s\nfrom itertools import count",
    )
    (bad,) = outcome(sandbox, searches, limits=limits).runs
    assert bad.archive == 32
    assert bad.problem == "decompress took more than 0.3 s"


def test_of_a_hidden_text_nothing_is_told(sandbox):
    tells = entry("raise ValueError(data)")
    assert "A text" in outcome(sandbox, tells).runs[0].problem
    (run,) = outcome(sandbox, tells, hidden=True).runs
    assert run.problem == "compress raised an error"
    shorter = entry("return data", "return archive[:-1]")
    (run,) = outcome(sandbox, shorter, hidden=True).runs
    assert run.problem == "decompress gave another text"
    assert "last few bytes wrong" in outcome(sandbox, shorter).runs[0].problem


def test_the_room_has_no_compressor_and_no_text():
    place = room()
    names = {path.name.partition(".")[0] for path in place.folder.rglob("*")}
    assert not names & {*ABSENT, "pydoc_data"}
    # What numpy's Fortran is linked with is there, and nothing that could call it.
    libraries = {path.name.partition(".")[0] for path in place.libraries}
    assert not libraries & {"libbz2", "liblzma", "libzstd", "libcrypto", "libffi"}
    assert not list(place.folder.rglob("*.py"))
    assert not list(place.folder.rglob("*.txt"))
    topics = b"The Python language reference"
    assert not [p for p in place.folder.rglob("*.pyc") if topics in p.read_bytes()]


# -- Points and the board -------------------------------------------------------------


def test_points_are_those_of_the_anchors():
    assert scores.points(580.0, 580.0, 250.0) == 0
    assert scores.points(250.0, 580.0, 250.0) == pytest.approx(60)
    assert scores.points(1.0, 580.0, 250.0) == 65
    assert scores.points(900.0, 580.0, 250.0) == 0
    # Each percent is worth the same.
    one, two = (scores.points(x, 580.0, 250.0) for x in (400.0, 400 * 0.99))
    three, four = (scores.points(x, 580.0, 250.0) for x in (300.0, 300 * 0.99))
    assert two - one == pytest.approx(four - three)


def run_of(name, size=1000, archive=400, problem="", seconds=(1.0, 1.0)):
    return entries.Run(name, size, archive, problem, seconds)


def test_one_wrong_byte_is_no_archive_and_torture_counts_by_itself():
    torture = entries.Outcome(10, tuple(run_of(f"{i}") for i in range(8)))
    texts_ = entries.Outcome(10, (run_of("a"), run_of("b")))
    assert scores.mark(torture, texts_) > 40
    wrong = entries.Outcome(10, (run_of("a"), run_of("b", problem="no")))
    assert scores.mark(torture, wrong) == 32
    tiny = entries.Outcome(10, (run_of("a", archive=1), run_of("b", archive=1)))
    assert scores.mark(torture, tiny) == 100


def test_the_board_is_ordered_and_tells_a_hidden_set_in_steps():
    better = entries.Outcome(10, (run_of("a"), run_of("b", archive=300)))
    worse = entries.Outcome(20, (run_of("a"), run_of("b")))
    none = entries.Outcome(0, problem="the source is no Python")
    found = {"order-0": worse, "order-2": better, "empty": none}
    table = scores.board(found)
    assert [row[0] for row in table.body] == ["order-2", "order-0", "empty"]
    assert table.head == ["entry", "total", "a", "b", "code", "s"]
    assert table.body[0][1:5] == ["710", "3.20", "2.40", "10"]
    steps = {scores.stepped(total) for total in range(200_000, 202_000)}
    assert len(steps) <= 4
    assert min(steps) >= 200_000
    assert scores.from_text(scores.as_text(better)) == better
    assert scores.frontier([(1.0, 9.0), (2.0, 10.0), (3.0, 5.0)]) == [(1, 9), (3, 5)]


def test_of_a_hidden_set_nothing_is_told_between_the_steps(tmp_path):
    def told(archive):
        found = entries.Outcome(900, (run_of("a", 65536, archive),))
        record = Record("one", "b", "graded", contest=scores.as_text(found))
        report.write_board([record], tmp_path)
        board = (tmp_path / "board.html").read_text()
        torture = entries.Outcome(900, tuple(run_of(f"{i}") for i in range(8)))
        said = scores.report(torture, found, steps=True)
        return board, said, scores.mark(torture, found, steps=True)

    same = [told(archive) for archive in (20_002, 20_009)]
    assert same[0] == same[1]
    board, said, mark = same[0]
    assert "20,002" not in said
    assert f"Total {scores.stepped(20_902):,} bytes" in said
    assert f"{scores.stepped(20_902):,}" in board
    assert f"Points for size: {mark - 40:.1f}" in said
    assert told(20_400) != same[0]


def test_own_texts_are_such_that_an_entry_could_give_them_back(monkeypatch, tmp_path):
    monkeypatch.setenv(texts.OWN, str(tmp_path))
    (tmp_path / ".hidden-by-the-system").write_bytes(b"")
    (tmp_path / "own.txt").write_bytes(bytes(Limits.output))
    assert [t.name for t in texts.hidden("one")] == ["own"]
    for size in (0, Limits.output + 1):
        (tmp_path / "own.txt").write_bytes(bytes(size))
        with pytest.raises(ValueError, match=f"has {size:,} bytes; a text .* 131,072"):
            texts.hidden("one")


def test_texts_are_of_five_kinds_and_hidden_ones_follow_the_secret(
    monkeypatch, tmp_path
):
    seen = {t.name: t.data for t in texts.practice(4096)}
    one = {t.name: t.data for t in texts.hidden("one", 4096)}
    two = {t.name: t.data for t in texts.hidden("two", 4096)}
    assert list(seen) == list(one) == list(texts.KINDS)
    assert {len(d) for d in [*seen.values(), *one.values()]} == {4096}
    assert one == {t.name: t.data for t in texts.hidden("one", 4096)}
    for kind in texts.KINDS:
        assert len({seen[kind], one[kind], two[kind]}) == 3
    assert all(t.hidden for t in texts.hidden("one", 4096))
    (tmp_path / "own.txt").write_bytes(b"an own text")
    monkeypatch.setenv(texts.OWN, str(tmp_path))
    assert texts.hidden("one") == [Text("own", b"an own text", hidden=True)]
    (tmp_path / "own.txt").unlink()
    with pytest.raises(ValueError, match="no files"):
        texts.hidden("one")


def test_there_is_a_practice_set_without_public_files(monkeypatch):
    monkeypatch.setattr(texts, "_public", lambda name: b"")
    assert {len(t.data) for t in texts.practice()} == {texts.SIZE}
    assert "年" in texts.practice(3000)[3].data.decode(errors="replace")
