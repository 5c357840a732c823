"""Local files and folders as documents."""

import codecs
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lmlib.data.documents import Document

Unit = Literal["file", "block"]
PATTERNS = ("*.txt", "*.md", "*.rst")

_EMPTY_LINES = re.compile(r"(?:[^\S\n]*\n){2,}")


def read_files(
    path: str | Path, *, unit: Unit = "file", patterns: Sequence[str] = PATTERNS
) -> list[Document]:
    """The documents of a file, or of all files under a folder in order of their names.

    `unit` says what a document is: a file, or a block of lines between empty lines,
    then without white space around it. Of a folder only files that match one of
    `patterns` are read, and none that is hidden or in a hidden folder. Empty documents
    are left out.

    Raises:
        FileNotFoundError: there is no such file, or no matching one in the folder.
        ValueError: a file is not UTF-8 (see `read_text`), or all of them are empty.
    """
    path = Path(path).expanduser()
    if unit not in ("file", "block"):
        raise ValueError(f"unit must be 'file' or 'block', got {unit!r}")
    if path.is_dir():
        found = {file for pattern in patterns for file in path.rglob(pattern)}
        root = path
        files = sorted(f for f in found if f.is_file() and not _hidden(f, root))
        if not files:
            raise FileNotFoundError(f"no file under {path} matches {list(patterns)}")
    elif path.is_file():
        root, files = path.parent, [path]
    else:
        raise FileNotFoundError(f"there is no file or folder {path}")
    documents = []
    for file in files:
        name = file.relative_to(root).as_posix()
        text = read_text(file)
        if unit == "file":
            documents.append(Document(text, name, "files"))
            continue
        blocks = (block.strip() for block in _EMPTY_LINES.split(text))
        documents.extend(
            Document(block, f"{name}:{i}", "files") for i, block in enumerate(blocks)
        )
    documents = [document for document in documents if document.text.strip()]
    if not documents:
        raise ValueError(f"there is no text in {path}")
    return documents


def read_text(path: Path) -> str:
    """The file as it is, line ends included, but for a byte-order mark.

    Raises:
        ValueError: it is neither UTF-8 nor, by its mark, UTF-16; it says where.
    """
    data = path.read_bytes()
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if marked else "utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        name = "the UTF-16 that it begins as" if marked else "UTF-8"
        raise ValueError(
            f"{path} is not {name} at byte {error.start}, line {line}; convert it, for "
            f"instance: iconv -f gb18030 -t utf-8 {path.name}"
        ) from None
    return text.removeprefix("\ufeff")


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)
