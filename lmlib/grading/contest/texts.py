"""The texts of the contest: a practice set, a hidden one, and the torture.

Five kinds: prose, dialogue, technical text, Chinese, a table. Where a public file is
neither here nor to be had, something else takes its place, made from what every
installation has: a student without a network has a practice set, too.
"""

import datetime
import math
import os
import random
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

from lmlib.data.installed import installed_docstrings
from lmlib.data.public import fetch
from lmlib.grading.contest.entries import Limits, Text

SIZE = 1 << 16
KINDS = ("prose", "dialogue", "technical", "chinese", "table")
EXCHANGED = 12  # words of a hidden text
OWN = "LMLIB_CONTEST_TEXTS"


def practice(size: int | None = None) -> list[Text]:
    """One text of each kind, the same for everybody with the same data.

    Parameters:
        size: bytes of each; `SIZE` unless it is given.
    """
    size = size or SIZE
    return [Text(kind, _cut(_source(kind, "practice"), size, 0.0)) for kind in KINDS]


def hidden(secret: str, size: int | None = None) -> list[Text]:
    """One text of each kind that nobody has seen.

    What lies in the folder LMLIB_CONTEST_TEXTS is taken as it is, one file a text. Else
    they are cuts of other texts than those of the practice set, or of other parts, at
    places that the secret decides, with some words exchanged for one another.

    Raises:
        ValueError: that folder has no files, or one that no entry could give back.
    """
    size = size or SIZE
    if folder := os.environ.get(OWN):
        files = sorted(path for path in Path(folder).glob("[!.]*") if path.is_file())
        if not files:
            raise ValueError(f"{OWN} names {folder}, in which there are no files")
        own = [Text(path.stem, path.read_bytes(), hidden=True) for path in files]
        for path, text in zip(files, own, strict=True):
            if not 0 < len(text.data) <= Limits.output:
                raise ValueError(
                    f"{path} has {len(text.data):,} bytes; a text of the contest has "
                    f"1 to {Limits.output:,}"
                )
        return own
    chance = random.Random(f"contest {secret}")
    texts = []
    for kind in KINDS:
        if kind == "table":
            data = _table(chance.getrandbits(64))
        elif kind == "chinese" and not _public("tangshi300.json"):
            data = _calendar(chance.getrandbits(64))
        else:
            data = _source(kind, "hidden")
        cut = _cut(data, size + size // 16, chance.random())
        texts.append(Text(kind, _exchanged(cut, chance)[:size], hidden=True))
    return texts


def torture(archive: bytes = b"\0", size: int | None = None) -> list[Text]:
    """What a compressor must bear, if not make small.

    Parameters:
        archive: one that the entry itself has made.
    """
    size = size or SIZE
    chance = random.Random(0)
    lines = b"".join(b"line %d\r\n" % i for i in range(size // 64))
    return [
        Text("empty", b""),
        Text("one byte", b"\x07"),
        Text("all 256 bytes", bytes(range(256))),
        Text("zeros", bytes(size)),
        Text("random", chance.randbytes(size), most=size + size // 256),
        Text("invalid UTF-8", b"caf\xe9 \xff\xfe \xc3( \xed\xa0\x80 " * (size // 256)),
        Text("CRLF", lines),
        Text("an archive of yours", archive),
    ]


# -- Where they come from -------------------------------------------------------------


def _cut(data: bytes, size: int, where: float) -> bytes:
    """`size` bytes that begin with a line, `where` of the way to the last such place.

    What is too short is repeated with the counts of the turns between, so that no turn
    is free.
    """
    if len(data) < size:
        turns = (b"\n%d\n%s" % (i, data) for i in range(1, -(-size // len(data)) + 1))
        data = b"".join(turns)
    start = int(where * (len(data) - size))
    line = data.find(b"\n", start)
    if start and 0 <= line <= len(data) - size - 1:
        start = line + 1
    return data[start : start + size]


def _exchanged(data: bytes, chance: random.Random) -> bytes:
    """Some of the words that come often, each put in the place of the next."""
    counts = Counter(re.findall(rb"\b[a-z]{5,9}\b", data))
    common = [word for word, n in sorted(counts.items()) if n >= 3]
    words = chance.sample(common, min(EXCHANGED, len(common)))
    turned = dict(zip(words, words[1:] + words[:1], strict=True))
    return re.sub(
        rb"\b[a-z]{5,9}\b", lambda found: turned.get(found[0], found[0]), data
    )


@cache
def _public(name: str) -> bytes:
    """A public file; nothing where it cannot be had."""
    try:
        return fetch(name).read_bytes()
    except OSError:
        return b""


def _installed(source: str) -> bytes:
    documents = installed_docstrings("all", sources=(source,))
    return "\n\n".join(document.text for document in documents).encode()


def _doctests() -> bytes:
    """A dialogue of a person and Python: the sessions in numpy's documentation."""
    lines = _installed("numpy").decode().split("\n")
    spoken = [
        line for line in lines if re.match(r"\s*(>>>|\.\.\. |array\(|\[|\d)", line)
    ]
    return "\n".join(spoken).encode()


def _calendar(seed: int) -> bytes:
    """Days in Chinese: what can be made anywhere, if not what anybody writes."""
    chance = random.Random(seed)
    digits = "〇一二三四五六七八九"
    months = [*digits[1:], "十", "十一", "十二"]
    tens, animals, week = "初十廿卅", "鼠牛虎兔龙蛇马羊猴鸡狗猪", "一二三四五六日"
    weather = ["晴", "多云", "小雨转阴", "大雪", "有风", "阴有阵雨", "雾"]
    day = datetime.date(chance.randrange(300, 1990), 1, 1)
    lines = []
    for _ in range(4000):
        number = tens[day.day // 10] + (digits[day.day % 10] if day.day % 10 else "")
        year = "".join(digits[int(digit)] for digit in str(day.year))
        lines.append(
            f"{year}年{months[day.month - 1]}月{number}日，星期{week[day.weekday()]}，"
            f"{animals[(day.year - 4) % 12]}年，{chance.choice(weather)}。"
        )
        day += datetime.timedelta(days=1)
    return "\n".join(lines).encode()


def _table(seed: int) -> bytes:
    """Measurements of six stations as CSV: what wanders, what repeats, and noise."""
    chance = random.Random(seed)
    stations = [f"ST{chance.randrange(1000):03}" for _ in range(6)]
    level = {station: chance.uniform(5, 25) for station in stations}
    moment = datetime.datetime(2020 + chance.randrange(5), 1, 1)
    rows = ["time,station,temperature,humidity,state"]
    for _ in range(2600):
        moment += datetime.timedelta(minutes=10)
        for station in stations:
            if chance.random() < 0.05:
                continue
            level[station] += chance.gauss(0, 0.2)
            warm = level[station] + 6 * math.sin(moment.hour / 3.82 - 2)
            damp = min(max(95 - 2 * warm + chance.gauss(0, 3), 0), 100)
            state = "ok" if chance.random() < 0.97 else chance.choice(["low", "error"])
            rows.append(
                f"{moment:%Y-%m-%d %H:%M},{station},{warm:.1f},{damp:.0f},{state}"
            )
    return "\n".join(rows).encode()


def _source(kind: str, use: str) -> bytes:
    """The text that one of a kind is cut from; for hidden ones, another or the rest."""
    sources: dict[str, Callable[[], bytes]] = {
        "prose": lambda: _public("alice29.txt") or _installed("reference"),
        "dialogue": lambda: _public("tinyshakespeare.txt") or _doctests(),
        "technical": lambda: _installed("numpy"),
        "chinese": lambda: (
            _public("lunyu.json" if use == "practice" else "tangshi300.json")
            or _calendar(0)
        ),
        "table": lambda: _table(0),
    }
    data = sources[kind]()
    if use == "hidden" and kind != "chinese" and len(data) > 2 * SIZE:
        return data[SIZE:]
    return data
