"""Section 7: the header of a file of weights, and characters cut by a stream."""

import json
from typing import Any

import numpy as np
import torch
from torch import Generator

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    draw_integer,
    error_type,
)

# -- read_safetensors -----------------------------------------------------------------


def reference_read(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}
    if len(data) < 8:
        raise ValueError("cut off in the length of the header")
    start = 8 + int.from_bytes(data[:8], "little")
    if start > len(data):
        raise ValueError("cut off in the header")
    found, spans = {}, []
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = (start + at for at in entry["data_offsets"])
        size = sizes[entry["dtype"]]
        for n in entry["shape"]:
            size *= n
        if not start <= begin <= end <= len(data) or end - begin != size:
            raise ValueError(f"{name} lies outside, or does not fit its shape")
        if size:
            spans.append((begin, end))
        found[name] = (entry["dtype"], entry["shape"], begin, end)
    spans.sort()
    for i in range(1, len(spans)):
        if spans[i][0] < spans[i - 1][1]:
            raise ValueError("two tensors overlap")
    return found


def length_for_the_end(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    import json

    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data):
        raise ValueError
    found, spans = {}, []
    for name, e in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = e["data_offsets"]
        size = sizes[e["dtype"]]
        for n in e["shape"]:
            size *= n
        if not 0 <= begin <= end <= len(data) - start or end - begin != size:
            raise ValueError
        if size:
            spans.append((begin, end))
        found[name] = (e["dtype"], e["shape"], start + begin, end - begin)
    spans.sort()
    for i in range(1, len(spans)):
        if spans[i][0] < spans[i - 1][1]:
            raise ValueError
    return found


def four_bytes_of_length(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    import json

    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}
    start = 8 + int.from_bytes(data[:4], "little")
    if len(data) < 8 or start > len(data):
        raise ValueError
    found, spans = {}, []
    for name, e in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = e["data_offsets"]
        size = sizes[e["dtype"]]
        for n in e["shape"]:
            size *= n
        if not 0 <= begin <= end <= len(data) - start or end - begin != size:
            raise ValueError
        if size:
            spans.append((begin, end))
        found[name] = (e["dtype"], e["shape"], start + begin, start + end)
    spans.sort()
    for i in range(1, len(spans)):
        if spans[i][0] < spans[i - 1][1]:
            raise ValueError
    return found


def counted_from_the_start(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    import json

    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data):
        raise ValueError
    found, spans = {}, []
    for name, e in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = e["data_offsets"]
        size = sizes[e["dtype"]]
        for n in e["shape"]:
            size *= n
        if not 0 <= begin <= end <= len(data) - start or end - begin != size:
            raise ValueError
        if size:
            spans.append((begin, end))
        found[name] = (e["dtype"], e["shape"], begin, end)
    spans.sort()
    for i in range(1, len(spans)):
        if spans[i][0] < spans[i - 1][1]:
            raise ValueError
    return found


def eight_bytes_forgotten(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    import json

    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data):
        raise ValueError
    found, spans = {}, []
    for name, e in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = e["data_offsets"]
        size = sizes[e["dtype"]]
        for n in e["shape"]:
            size *= n
        if not 0 <= begin <= end <= len(data) - start or end - begin != size:
            raise ValueError
        if size:
            spans.append((begin, end))
        found[name] = (e["dtype"], e["shape"], start - 8 + begin, start - 8 + end)
    spans.sort()
    for i in range(1, len(spans)):
        if spans[i][0] < spans[i - 1][1]:
            raise ValueError
    return found


def metadata_as_a_tensor(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    import json

    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data):
        raise ValueError
    found, spans = {}, []
    for name, e in json.loads(data[8:start]).items():
        begin, end = e.get("data_offsets", [0, 0])
        dtype, shape = e.get("dtype", "U8"), e.get("shape", [0])
        size = sizes[dtype]
        for n in shape:
            size *= n
        if not 0 <= begin <= end <= len(data) - start or end - begin != size:
            raise ValueError
        if size:
            spans.append((begin, end))
        found[name] = (dtype, shape, start + begin, start + end)
    spans.sort()
    for i in range(1, len(spans)):
        if spans[i][0] < spans[i - 1][1]:
            raise ValueError
    return found


def empty_tensor_left_out(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    import json

    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data):
        raise ValueError
    found, spans = {}, []
    for name, e in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = e["data_offsets"]
        size = sizes[e["dtype"]]
        for n in e["shape"]:
            size *= n
        if not 0 <= begin <= end <= len(data) - start or end - begin != size:
            raise ValueError
        if size:
            spans.append((begin, end))
            found[name] = (e["dtype"], e["shape"], start + begin, start + end)
    spans.sort()
    for i in range(1, len(spans)):
        if spans[i][0] < spans[i - 1][1]:
            raise ValueError
    return found


def spaces_refused(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    import json

    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data) or data[start - 1 : start] != b"}":
        raise ValueError
    found, spans = {}, []
    for name, e in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = e["data_offsets"]
        size = sizes[e["dtype"]]
        for n in e["shape"]:
            size *= n
        if not 0 <= begin <= end <= len(data) - start or end - begin != size:
            raise ValueError
        if size:
            spans.append((begin, end))
        found[name] = (e["dtype"], e["shape"], start + begin, start + end)
    spans.sort()
    for i in range(1, len(spans)):
        if spans[i][0] < spans[i - 1][1]:
            raise ValueError
    return found


def overlap_accepted(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    import json

    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data):
        raise ValueError
    found = {}
    for name, e in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = e["data_offsets"]
        size = sizes[e["dtype"]]
        for n in e["shape"]:
            size *= n
        if not 0 <= begin <= end <= len(data) - start or end - begin != size:
            raise ValueError
        found[name] = (e["dtype"], e["shape"], start + begin, start + end)
    return found


def shape_not_compared(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    import json

    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data):
        raise ValueError
    found, spans = {}, []
    for name, e in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = e["data_offsets"]
        if not 0 <= begin <= end <= len(data) - start:
            raise ValueError
        if begin < end:
            spans.append((begin, end))
        found[name] = (e["dtype"], e["shape"], start + begin, start + end)
    spans.sort()
    for i in range(1, len(spans)):
        if spans[i][0] < spans[i - 1][1]:
            raise ValueError
    return found


def end_trusted(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    import json

    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1}
    start = 8 + int.from_bytes(data[:8], "little")
    found, spans = {}, []
    for name, e in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = e["data_offsets"]
        size = sizes[e["dtype"]]
        for n in e["shape"]:
            size *= n
        if end - begin != size:
            raise ValueError
        if size:
            spans.append((begin, end))
        found[name] = (e["dtype"], e["shape"], start + begin, start + end)
    spans.sort()
    for i in range(1, len(spans)):
        if spans[i][0] < spans[i - 1][1]:
            raise ValueError
    return found


def _whole(value: Any) -> int:
    if type(value) is bool or not isinstance(value, int | np.integer):
        raise TypeError(f"a whole number is expected, got a {type(value).__name__}")
    if not -(2**63) <= value < 2**63:
        raise ValueError("a number of more than 63 bits is no place in a file")
    return int(value)


def _listed(function: Function, args: tuple[Any, ...]) -> str:
    """For `Part.observe`: a line for each tensor."""
    found = function(*args)
    if not isinstance(found, dict):
        raise TypeError(f"a dict is expected, got a {type(found).__name__}")
    lines = []
    for name, entry in found.items():
        if not isinstance(entry, tuple | list) or len(entry) != 4:
            raise TypeError("dtype, shape, begin and end are expected for each name")
        dtype, shape, begin, end = entry
        if not (isinstance(name, str) and isinstance(dtype, str)):
            raise TypeError("names and dtypes are strings")
        if not isinstance(shape, tuple | list):
            raise TypeError(f"a shape is a list, got a {type(shape).__name__}")
        sides = [_whole(n) for n in shape]
        lines.append(f"{name}: {dtype} {sides} {_whole(begin)}-{_whole(end)}")
    return "\n".join(sorted(lines))


def _file(header: dict[str, Any], n: int, spaces: int = 0) -> bytes:
    """A file with this header and `n` bytes of data."""
    text = json.dumps(header).encode() + b" " * spaces
    return len(text).to_bytes(8, "little") + text + bytes(range(1, n + 1))


def _entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def _name(generator: Generator) -> str:
    return f"h.{draw_integer(generator, 0, 999)}"


def _two(generator: Generator) -> tuple[dict[str, Any], int]:
    """A header of two tensors, and how many bytes of data it takes."""
    a, b, c = (draw_integer(generator, 2, 4) for _ in range(3))
    middle = 2 * a
    end = middle + 4 * b * c
    name = _name(generator)
    return {
        f"{name}.weight": _entry("F32", [b, c], middle, end),
        f"{name}.bias": _entry("F16", [a], 0, middle),
    }, end


def _plain(generator: Generator) -> list[Case]:
    cases = []
    for _ in range(2):
        header, n = _two(generator)
        cases.append(Case((_file(header, n),), "two tensors"))
    return cases


def _with_more(generator: Generator) -> list[Case]:
    header, n = _two(generator)
    told = {"__metadata__": {"format": "pt"}, **header}
    other, m = _two(generator)
    middle = next(iter(other.values()))["data_offsets"][0]
    none = {"none": _entry("I64", [0, 3], middle, middle), **other}
    third, k = _two(generator)
    return [
        Case((_file(told, n),), "two tensors and metadata"),
        Case((_file(none, m),), "an empty tensor besides"),
        Case((_file(third, k, draw_integer(generator, 1, 7)),), "spaces after JSON"),
    ]


def _cut(generator: Generator) -> list[Case]:
    header, n = _two(generator)
    whole = _file(header, n)
    return [
        Case((whole[: len(whole) - draw_integer(generator, 1, 3)],), "cut at the end"),
        Case((whole[: draw_integer(generator, 20, 60)],), "cut in the header"),
        Case((whole[: draw_integer(generator, 1, 7)],), "cut in the length"),
        Case(
            (whole[:7] + bytes([draw_integer(generator, 1, 99)]) + whole[8:],),
            "a header longer than any file",
        ),
    ]


def _outside(generator: Generator) -> list[Case]:
    header, n = _two(generator)
    first = next(iter(header))
    begin, end = header[first]["data_offsets"]
    more = draw_integer(generator, 1, 9)
    header[first]["data_offsets"] = [begin + more, end + more]
    other, m = _two(generator)
    second = list(other)[1]
    begin, end = other[second]["data_offsets"]
    other[second]["data_offsets"] = [begin - more, end - more]
    return [
        Case((_file(header, n),), "a span that leaves the file"),
        Case((_file(other, m),), "a span that begins in the header"),
    ]


def _overlap(generator: Generator) -> list[Case]:
    header, n = _two(generator)
    first = next(iter(header))
    begin, end = header[first]["data_offsets"]
    header[first]["data_offsets"] = [begin - 1, end - 1]
    return [Case((_file(header, n),), "two spans that overlap by one byte")]


def _no_fit(generator: Generator) -> list[Case]:
    header, n = _two(generator)
    shape = next(iter(header.values()))["shape"]
    shape[0] -= 1
    other, m = _two(generator)
    next(iter(other.values()))["dtype"] = "F16"
    return [
        Case((_file(header, n),), "a shape that is too small for its span"),
        Case((_file(other, m),), "a dtype that is too small for its span"),
    ]


READ = Exercise(
    name="7/read_safetensors",
    title="Read a file of weights by hand",
    difficulty=3,
    minutes=25,
    reference=reference_read,
    parts=(
        Part("two tensors", 1, _plain, _listed),
        Part("metadata, an empty tensor, spaces", 2, _with_more, _listed),
        Part("a file that is cut off", 1, _cut, error_type),
        Part("a span that leaves the data", 1, _outside, error_type),
        Part("spans that overlap", 1, _overlap, error_type),
        Part("a span that does not fit its shape", 1, _no_fit, error_type),
    ),
    misconceptions=(
        Misconception(
            length_for_the_end,
            "The fourth number is where the tensor ends, not how long it is.",
        ),
        Misconception(
            four_bytes_of_length,
            "The length has 8 bytes. You read 4 of them, and take a damaged file.",
        ),
        Misconception(
            counted_from_the_start,
            "Offsets count from the end of the header. You give them as if from the "
            "start of the file.",
        ),
        Misconception(
            eight_bytes_forgotten,
            "The data begins after the header *and* the 8 bytes of its length.",
        ),
        Misconception(
            metadata_as_a_tensor,
            "`__metadata__` is no tensor: words about the file, to be left out.",
        ),
        Misconception(
            empty_tensor_left_out,
            "A tensor with a side of 0 has no bytes, and is a tensor all the same.",
        ),
        Misconception(
            spaces_refused,
            "Spaces after the JSON are allowed: writers fill the header up with them.",
        ),
        Misconception(
            overlap_accepted,
            "Two tensors that share a byte must be refused: compare each span with the "
            "next one, in the order of their beginnings.",
        ),
        Misconception(
            shape_not_compared,
            "end − begin must be the shape's product times the size of a number.",
        ),
        Misconception(
            end_trusted,
            "You trust the offsets and the header's length. A span must lie between "
            "the end of the header and the end of the file.",
        ),
    ),
    hints=(
        'int.from_bytes(data[:8], "little"), then json.loads of as many bytes.',
        "Check each span: inside the data, and as long as shape times size.",
        "For overlaps, sort the spans that are not empty and compare neighbours.",
    ),
)


# -- hold_back ------------------------------------------------------------------------


def reference_hold(chunks: list[bytes]) -> list[str]:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    last = len(chunks) - 1
    return [decoder.decode(chunk, i == last) for i, chunk in enumerate(chunks)]


def each_by_itself(chunks: list[bytes]) -> list[str]:
    return [chunk.decode(errors="replace") for chunk in chunks]


def replacement_deleted(chunks: list[bytes]) -> list[str]:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    last = len(chunks) - 1
    shown = [decoder.decode(chunk, i == last) for i, chunk in enumerate(chunks)]
    return [text.replace("\ufffd", "") for text in shown]


def each_ignoring(chunks: list[bytes]) -> list[str]:
    return [chunk.decode(errors="ignore") for chunk in chunks]


def waits_for_ever(chunks: list[bytes]) -> list[str]:
    shown, waiting = [], b""
    for i, chunk in enumerate(chunks):
        waiting += chunk
        try:
            text = waiting.decode()
        except UnicodeDecodeError:
            text = waiting.decode(errors="replace") if i == len(chunks) - 1 else ""
        if text:
            waiting = b""
        shown.append(text)
    return shown


def every_replacement_waits(chunks: list[bytes]) -> list[str]:
    shown, seen, place = [], b"", 0
    for i, chunk in enumerate(chunks):
        seen += chunk
        text = seen.decode(errors="replace")
        if i < len(chunks) - 1:
            text = text.rstrip("\ufffd")
        shown.append(text[place:])
        place = max(place, len(text))
    return shown


def rest_left_out(chunks: list[bytes]) -> list[str]:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return [decoder.decode(chunk) for chunk in chunks]


def all_at_the_end(chunks: list[bytes]) -> list[str]:
    whole = b"".join(chunks).decode(errors="replace")
    return ["" for _ in chunks[:-1]] + [whole]


def shown_again(chunks: list[bytes]) -> list[str]:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    last, shown, text = len(chunks) - 1, [], ""
    for i, chunk in enumerate(chunks):
        text += decoder.decode(chunk, i == last)
        shown.append(text)
    return shown


def _shown(function: Function, args: tuple[Any, ...]) -> str:
    """For `Part.observe`: the texts, a line for each chunk."""
    (chunks,) = args
    found = function(list(chunks))
    if not isinstance(found, list | tuple) or not all(
        isinstance(text, str) for text in found
    ):
        raise TypeError("a list of strings is expected, one for each chunk")
    return " | ".join(ascii(text) for text in found)


def _text(generator: Generator, letters: str, n: int) -> str:
    places = torch.randint(len(letters), (n,), generator=generator)
    return "".join(letters[i] for i in places.tolist())


def _cut_up(generator: Generator, data: bytes, most: int) -> list[bytes]:
    chunks = []
    while data:
        n = draw_integer(generator, 1, most)
        chunks.append(data[:n])
        data = data[n:]
    return chunks


_LATIN = "abcdefghijklmnopqrstuvwxyz ."
_CHINESE = "压缩即智能大语言模型中文字"
_EMOJI = "🙂🐍📦🚀🎲🌍🔬🧮"


def _ascii_only(generator: Generator) -> list[Case]:
    text = _text(generator, _LATIN, 9)
    return [Case((_cut_up(generator, text.encode(), 3),), "letters")]


def _chinese(generator: Generator) -> list[Case]:
    one = _text(generator, _CHINESE, 1).encode()
    letter = _text(generator, _LATIN, 2)
    text = letter + _text(generator, _CHINESE, 5)
    return [
        Case(
            ([one[:1], one[1:2], one[2:] + letter.encode()],),
            "a character in three chunks",
        ),
        Case((_cut_up(generator, text.encode(), 2),), "a text cut anywhere"),
    ]


def _emoji(generator: Generator) -> list[Case]:
    text = _text(generator, _LATIN, 2) + _text(generator, _EMOJI, 2)
    data = text.encode()
    return [
        Case(([data[:3], data[3:7], data[7:9], data[9:]],), "characters of 4 bytes")
    ]


def _invalid(generator: Generator) -> list[Case]:
    a, b, c = (_text(generator, _LATIN, 2).encode() for _ in range(3))
    odd = bytes([draw_integer(generator, 0xF8, 0xFF)])
    begun = _text(generator, _CHINESE, 1).encode()[:2]
    real = "\ufffd".encode()
    return [
        Case(([a, odd + b, c],), "a byte that begins nothing"),
        Case(([a + odd, b, c],), "a byte that begins nothing, at a chunk's end"),
        Case(([a, begun, b, c],), "a character that is broken off"),
        Case(([a, real[:1], real[1:] + b, c],), "a real U+FFFD"),
    ]


def _unfinished(generator: Generator) -> list[Case]:
    a = _text(generator, _LATIN, 3).encode()
    begun = _text(generator, _CHINESE, 1).encode()[: draw_integer(generator, 1, 2)]
    return [Case(([a, begun],), "the stream ends within a character")]


HOLD = Exercise(
    name="7/hold_back",
    title="Show no half characters",
    difficulty=3,
    minutes=20,
    reference=reference_hold,
    parts=(
        Part("letters", 1, _ascii_only, _shown),
        Part("Chinese, cut anywhere", 2, _chinese, _shown),
        Part("characters of four bytes", 1, _emoji, _shown),
        Part("bytes that are no text", 1, _invalid, _shown),
        Part("the end", 1, _unfinished, _shown),
    ),
    misconceptions=(
        Misconception(
            each_by_itself,
            "You decode each chunk by itself: a character that is cut becomes two or "
            "three U+FFFD. Keep its first bytes until the others come.",
            "https://github.com/exo-explore/exo/pull/1691",
        ),
        Misconception(
            replacement_deleted,
            "You delete U+FFFD from what is shown; one that stands in the text, or for "
            "a broken byte, is lost with it.",
            "https://github.com/replicate/cog-llama-template/pull/75",
        ),
        Misconception(
            each_ignoring,
            "errors='ignore' drops every character that is cut, and says nothing.",
        ),
        Misconception(
            waits_for_ever,
            "After a byte that can begin nothing you show nothing more until the end: "
            "wait only for bytes that can still be completed.",
        ),
        Misconception(
            every_replacement_waits,
            "You wait whenever the text ends in U+FFFD. Not each of them can still "
            "become a character: a byte that begins nothing is to be shown at once.",
        ),
        Misconception(
            rest_left_out,
            "What still waits at the end of the stream must be shown, as U+FFFD.",
        ),
        Misconception(
            all_at_the_end,
            "You show everything at the end. Each chunk is to be answered at once, as "
            "far as its characters are whole.",
        ),
        Misconception(
            shown_again,
            "You show the whole text so far each time: only what is new is asked.",
        ),
    ),
    hints=(
        "The first byte of a character says how many it has: below 0x80 one, from 0xC2 "
        "two, from 0xE0 three, from 0xF0 to 0xF4 four.",
        "Python can do it: look for an *incremental* decoder in `codecs`.",
        "Its last call has to be told that it is the last.",
    ),
)

EXERCISES = [READ, HOLD]
