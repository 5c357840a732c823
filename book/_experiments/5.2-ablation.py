"""5.2: what each part of the strong predictor is worth: bits without it, four texts.

The predictor has no switches: a part is taken out of its source, which is then compiled
as a module of its own. There is no chance in it, and so no seed.
"""

import importlib.util
import pydoc_data.topics
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from experiment import Row, Runs, main

from lmlib.compression import strong
from lmlib.data.public import fetch

Edits = tuple[tuple[str, str], ...]  # of the source: what stands there, and what shall


def silent(*contexts: int) -> Edits:
    """Some contexts say nothing."""
    mute = f"i not in {contexts} and "
    return (
        (
            "if state > 0:\n            if 1 <= i",
            f"if {mute}state > 0:\n            if 1 <= i",
        ),
        ("if run > 0 and", f"if {mute}run > 0 and"),
    )


WITHOUT: dict[str, Edits] = {
    "nothing": (),
    "SSE": (("return min(max((total + 4) >> 3, 1), 65535)", "return squash(t, said)"),),
    "rows of weights": (("FIRST_ROWS[k] + mixer.rows[k]", "FIRST_ROWS[k]"),),
    "matches": (("if m.length[k] > 0 and not twin:", "if m.length[k] < 0:"),),
    "the byte that came last": (("= said if bit else -said", "= 0"),),
    "its own probability": (("x[j + 3] = t.stretch", "x[j + 3] = 0 * t.stretch"),),
    "word contexts": silent(*range(8, 14)),
    "bytes with gaps, the line": silent(*range(14, 20)),
    "what followed": silent(20, 21),
    "shapes": silent(*range(22, 27)),
    "characters of UTF-8": silent(*range(27, 30)),
    "all but orders 0 to 8 and the word": silent(*range(9, 30)),
}
TEXTS = ("alice29.txt", "tinyshakespeare.txt", "topics", "lunyu.json")
MOST = {"tinyshakespeare.txt": 150_000, "topics": 100_000}  # bytes of them


@cache
def text(name: str) -> bytes:
    if name == "topics":
        data = "\n".join(pydoc_data.topics.topics.values()).encode()
    else:
        data = fetch(name).read_bytes()
    return data[: MOST.get(name)]


@cache
def predictor(part: str) -> Any:
    """The module without a part."""
    source = Path(strong.__file__).read_text(encoding="utf-8")
    for old, new in WITHOUT[part]:
        if old not in source:
            raise ValueError(f"to take out {part}: the source has no {old!r}")
        source = source.replace(old, new)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"without_{part.replace(' ', '_')}.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.code_length(b"")  # compiled while the file is there
    return module


def run(part: str, name: str) -> Row:
    data = text(name)
    return {"bytes": len(data), "bits": predictor(part).code_length(data)}


def runs() -> Runs:
    for part in WITHOUT:
        for name in TEXTS:
            yield {"without": part, "text": name}, lambda p=part, n=name: run(p, n)


if __name__ == "__main__":
    main(__file__, runs())
