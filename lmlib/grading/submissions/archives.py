"""Where submissions lie: a folder, a zip or a tar, seen as a list of items.

Whatever is in there was put there by somebody else. So nothing is ever written to
disk, no link is followed, nothing is opened that could block, and sizes are looked at
before bytes are read. What cannot be read is an item with a problem, in words that a
student can act on, and not an exception.
"""

import bz2
import calendar
import gzip
import io
import lzma
import math
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from lmlib.grading.submissions.encodings import is_gbk

#: A notebook of 20 MiB has megabytes of plots in it; the text of one takes 100 kB.
MAX_FILE = 20 << 20
#: What an archive of a whole class, and one of a single student, may unpack to.
MAX_TOTAL, MAX_TOTAL_OF_STUDENT = 2 << 30, 200 << 20
MAX_MEMBERS, MAX_MEMBERS_OF_STUDENT = 100_000, 1_000
MAX_RATIO = 100
#: Small things may compress better than MAX_RATIO and harm nobody.
SMALL = 1 << 20
#: A tar member's own header, which tarfile reads whole; and with all the records that
#: it has no use for, such as the attributes that a Mac gives to files.
MAX_TAR_HEADER, MAX_TAR_RECORDS = 8 << 10, 1 << 20
MAX_RECORDS = 1_000
MAX_DEPTH = 8
MAX_XZ_MEMORY = 128 << 20

SUFFIXES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")

LINK = "is a link to another place, not a file; hand in the file itself"
SPECIAL = "is not an ordinary file; hand in the notebook as a file"
ESCAPES = "has a name that leads out of the archive, so it was not opened"
LOCKED = "is protected by a password; hand it in without one"
BOMB = (
    f"would unpack to more than {MAX_RATIO} times its size, or to more than is "
    "accepted, so it was not opened"
)
CROWDED = "holds more files than are accepted"
BROKEN = "is damaged or incomplete"
NEITHER = "is neither a folder nor an archive (zip, tar) nor a notebook (.ipynb)"


class Unreadable(ValueError):
    """Why a file was not read, as the end of a sentence that begins with its name."""


@dataclass(frozen=True)
class Item:
    """A file or a folder that was found, by its place below where we looked.

    Attributes:
        read: gives the bytes, or raises `Unreadable`.
        problem: why it must not be read, when that is known already.
        position: the items of an archive are cheapest to read in this order.
    """

    parts: tuple[str, ...]
    read: Callable[[], bytes]
    problem: str = ""
    time: float = 0.0
    is_folder: bool = False
    position: int = 0

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def path(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True)
class Contents:
    """What was found, and why there may be more that was not.

    Attributes:
        guess: in which encoding names were read that do not say it, if one was guessed.
    """

    items: list[Item]
    broken: str = ""
    guess: str = ""


@contextmanager
def opened(where: Path) -> Iterator[Contents]:
    """The contents of a folder or an archive; items can be read inside the `with`.

    A notebook is the only one of its folder.

    Raises:
        ValueError: `where` is none of these.
    """
    if where.is_dir():
        yield Contents(list(_walk(where)))
    elif where.is_file() and where.name.lower().endswith(".ipynb"):
        time = where.stat().st_mtime
        yield Contents([Item((where.name,), partial(_read_file, where), time=time)])
    elif where.is_file():
        with where.open("rb") as file:
            size = where.stat().st_size
            with _unpacked(file, size, MAX_TOTAL, MAX_MEMBERS) as contents:
                if (
                    contents.broken
                    and not contents.items
                    and not is_archive(where.name)
                ):
                    raise ValueError(f"{where} {NEITHER}")
                yield contents
    else:
        raise ValueError(f"{where} {NEITHER}")


@contextmanager
def opened_of_student(data: bytes) -> Iterator[Contents]:
    """The same for an archive that a student handed in."""
    total, members = MAX_TOTAL_OF_STUDENT, MAX_MEMBERS_OF_STUDENT
    with _unpacked(io.BytesIO(data), len(data), total, members) as contents:
        yield contents


def is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def in_bytes(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"


def _too_large(size: int) -> Unreadable:
    return Unreadable(
        f"is {in_bytes(size)} large, and at most {MAX_FILE >> 20} MiB are accepted; "
        "clear the outputs of the notebook, save it, and hand it in again"
    )


# -- Folders --------------------------------------------------------------------------


def _walk(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Item]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        if not above:
            raise ValueError(f"{folder} cannot be read: {error.strerror}") from error
        yield _unreadable(above, "is a folder that the grader is not allowed to open")
        return
    for entry in entries:
        parts = (*above, entry.name)
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            yield _unreadable(parts, "cannot be read by the grader")
            continue
        if stat.S_ISDIR(status.st_mode):
            yield Item(parts, _nothing, time=status.st_mtime, is_folder=True)
            if len(parts) < MAX_DEPTH:
                yield from _walk(folder / entry.name, parts)
            continue
        problem = ""
        if stat.S_ISLNK(status.st_mode):
            problem = LINK
        elif not stat.S_ISREG(status.st_mode):
            problem = SPECIAL
        path = folder / entry.name
        yield Item(parts, partial(_read_file, path), problem, status.st_mtime)


def _unreadable(parts: tuple[str, ...], problem: str) -> Item:
    return Item(parts, _nothing, problem)


def _nothing() -> bytes:
    raise Unreadable("is a folder, not a file")


def _read_file(path: Path) -> bytes:
    # Looked at once more after opening: between the two it may have become a FIFO.
    flags = os.O_RDONLY
    for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
        flags |= getattr(os, flag, 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable(SPECIAL)
            if status.st_size > MAX_FILE:
                raise _too_large(status.st_size)
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        reason = (error.strerror or "error").lower()
        raise Unreadable(
            f"cannot be read by the grader ({reason}); ask your instructor"
        ) from error
    if len(data) > MAX_FILE:
        raise _too_large(len(data))
    return data


# -- Archives -------------------------------------------------------------------------


@contextmanager
def _unpacked(
    file: io.BufferedIOBase, size: int, total: int, members: int
) -> Iterator[Contents]:
    # zipfile, tarfile and the decompressors raise a dozen kinds of exception, and not
    # all of them on purpose, on an archive that was made to be broken.
    with ExitStack() as stack:
        try:
            magic = file.read(6)
            file.seek(0)
            if not magic:
                contents = Contents([], "is empty (0 bytes)")
            elif magic.startswith(b"PK"):
                archive = stack.enter_context(zipfile.ZipFile(file))
                contents = _zip_contents(archive, total, members)
            else:
                tape = _Tape(file, size, total, magic)
                contents = _tar_contents(tape, total, members)
        except Exception:
            contents = Contents([], BROKEN)
        yield contents


def _place(name: str) -> tuple[tuple[str, ...], str, str]:
    """Where a member lies, what is wrong with its name, and how that leads out.

    The last is the same for all that a program has stored with their whole path.
    """
    name = name.replace("\\", "/")
    out = cast(re.Match[str], re.match(r"(?:[A-Za-z]:/)?(?:\.{0,2}/)*", name))[0]
    out = "/".join(part for part in out.split("/") if part != ".")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if out[1:2] == ":":
        parts = parts[1:]
    inside = tuple(part for part in parts if part != "..")
    if parts.count("..") > out.count(".."):
        return inside, ESCAPES, name
    return inside, ESCAPES if out else "", out


def _settled(items: list[Item], ways: set[str], broken: str = "") -> Contents:
    """Where all of a class lies at one place outside, its names say so, and no more."""
    if len(ways) == 1 and "" not in ways:
        items = [
            replace(item, problem="" if item.problem == ESCAPES else item.problem)
            for item in items
        ]
    return Contents(items, broken)


def _names(infos: list[zipfile.ZipInfo]) -> tuple[list[str], str]:
    """The names of a zip's members, and which encoding was guessed.

    Names that are not marked as UTF-8 should be in the alphabet of the first PCs, as
    zipfile reads them. Macs and platforms write UTF-8 all the same, and Windows what
    the country uses.
    """
    marked = 0x800  # the flag for UTF-8
    raw = {
        info.filename: info.filename.encode("cp437")
        for info in infos
        if not info.flag_bits & marked and not info.filename.isascii()
    }
    read = {}
    for name, data in raw.items():
        # Hardly anything else is UTF-8 by chance.
        with suppress(UnicodeDecodeError):
            read[name] = data.decode()
    rest = {name: data for name, data in raw.items() if name not in read}
    guess = ""
    if rest:
        guess = "gb18030" if is_gbk(b"/".join(rest.values())) else "cp437"
        read |= {name: data.decode(guess) for name, data in rest.items()}
    names = [
        info.filename if info.flag_bits & marked else read.get(info.filename)
        for info in infos
    ]
    return [n or i.filename for n, i in zip(names, infos, strict=True)], guess


def _zip_contents(archive: zipfile.ZipFile, total: int, members: int) -> Contents:
    infos = archive.infolist()
    if len(infos) > members:
        return Contents([], CROWDED)
    items = []
    ways: set[str] = set()
    unpacked = packed = 0
    names, guess = _names(infos)
    for position, (info, name) in enumerate(zip(infos, names, strict=True)):
        parts, problem, way = _place(name)
        ways.add(way)
        if not parts:
            continue
        mode = info.external_attr >> 16
        unpacked += info.file_size
        packed += info.compress_size
        if stat.S_ISLNK(mode):
            problem = LINK
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            problem = SPECIAL
        elif info.flag_bits & 0x1:
            problem = LOCKED
        elif info.file_size > max(SMALL, MAX_RATIO * info.compress_size):
            problem = BOMB
        try:
            time = calendar.timegm((*info.date_time, 0, 0, 0))
        except (ValueError, OverflowError):
            time = 0

        def read(info: zipfile.ZipInfo = info) -> bytes:
            if info.file_size > MAX_FILE:
                raise _too_large(info.file_size)
            try:
                with archive.open(info) as member:
                    return member.read(info.file_size)
            except Exception as error:
                raise Unreadable(BROKEN) from error

        folder = info.is_dir()
        items.append(Item(parts, read, problem, float(time), folder, position))
    # The archive of a class is not lost for one large file of one student: of a zip,
    # only what is needed is unpacked.
    bomb = unpacked > max(SMALL, MAX_RATIO * packed) or unpacked > total
    if total == MAX_TOTAL_OF_STUDENT:
        return Contents([], BOMB) if bomb else Contents(items)
    return replace(_settled(items, ways), guess=guess)


class _Tape:
    """A (compressed) file that tarfile may read, but not too much of it.

    tarfile believes the sizes in headers: it would read a header of 8 GiB into memory,
    and seek backwards for ever.
    """

    def __init__(
        self, file: io.BufferedIOBase, size: int, total: int, magic: bytes
    ) -> None:
        self.file: Any = file
        self.end, self.too_far = min(total, max(SMALL, MAX_RATIO * size)), BOMB
        if magic.startswith(b"\x1f\x8b"):
            self.file = gzip.GzipFile(fileobj=file)
        elif magic.startswith(b"BZh"):
            self.file = bz2.BZ2File(file)
        elif magic.startswith(b"\xfd7zXZ\x00"):
            # The dictionary's size is in the header, up to 4 GiB.
            probe = lzma.LZMADecompressor(memlimit=MAX_XZ_MEMORY)
            probe.decompress(file.read(4096), max_length=1)
            file.seek(0)
            self.file = lzma.LZMAFile(cast(Any, file))  # noqa: SIM115
        elif size > total:
            self.end, self.too_far = total, BOMB
        else:
            self.end, self.too_far = size, BROKEN

    def tell(self) -> int:
        return int(self.file.tell())

    def seek(self, position: int) -> int:
        if position < 0:
            raise Unreadable(BROKEN)
        if position > self.end:
            raise Unreadable(self.too_far)
        return int(self.file.seek(position))

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_TAR_RECORDS:
            raise Unreadable(BROKEN)
        data = bytes(self.file.read(size))
        if size > MAX_TAR_HEADER:
            data = _records_in_use(data)
        # In a long run of digits tarfile's expressions take quadratic time.
        if re.search(rb"\d{100}", data):
            raise Unreadable(BROKEN)
        return data

    def read_at(self, start: int, size: int) -> bytes:
        self.seek(start + size)
        self.seek(start)
        return bytes(self.file.read(size))


def _records_in_use(data: bytes) -> bytes:
    """A tar member's extended header without what tarfile has no use for.

    Raises:
        Unreadable: it is none, or still too large.
    """
    kept, at, count = b"", 0, 0
    while at < len(data) and data[at]:
        count += 1
        match = re.compile(rb"(\d{1,9}) ([^=\n]{1,300})=").match(data, at)
        end = at + int(match[1]) if match else 0
        if match is None or not match.end() <= end <= len(data) or count > MAX_RECORDS:
            raise Unreadable(BROKEN)
        if match[2] in (b"path", b"linkpath", b"size", b"mtime", b"hdrcharset") or (
            match[2].startswith(b"GNU.sparse.")
        ):
            kept += data[at:end]
        at = end
    if len(kept) > MAX_TAR_HEADER:
        raise Unreadable(BROKEN)
    return kept


def _tar_contents(tape: _Tape, total: int, members: int) -> Contents:
    items: list[Item] = []
    ways: set[str] = set()
    count = 0
    try:
        archive = tarfile.TarFile(fileobj=tape, mode="r")  # type: ignore[arg-type]
        while (info := archive.next()) is not None:
            count += 1
            if count > members:
                return Contents(items, CROWDED)
            cast(Any, archive).members.clear()  # or it keeps all their headers
            parts, problem, way = _place(info.name)
            ways.add(way)
            if parts:
                items.append(_tar_item(tape, info, parts, problem, count))
        # tarfile takes a torn header for the end; the real end is a block of zeros.
        tape.seek(archive.offset)
        if tape.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            return Contents(items, BROKEN)
    except Unreadable as error:
        return Contents(items, str(error))
    except Exception:
        return Contents(items, BROKEN)
    return Contents(items) if total == MAX_TOTAL_OF_STUDENT else _settled(items, ways)


def _tar_item(
    tape: _Tape,
    info: tarfile.TarInfo,
    parts: tuple[str, ...],
    problem: str,
    position: int,
) -> Item:
    if info.issym() or info.islnk():
        problem = LINK
    elif not (info.isreg() or info.isdir()) or info.issparse():
        problem = SPECIAL
    start, size = info.offset_data, info.size

    def read() -> bytes:
        if size > MAX_FILE:
            raise _too_large(size)
        try:
            data = tape.read_at(start, size)
        except Exception as error:
            raise Unreadable(BROKEN) from error
        if len(data) != size:
            raise Unreadable(BROKEN)
        return data

    time = float(info.mtime) if math.isfinite(info.mtime) else 0.0
    return Item(parts, read, problem, time, info.isdir(), position)
