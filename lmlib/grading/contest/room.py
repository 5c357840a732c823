"""What is there for an entry: a Python with some modules, and no other files at all.

The room is a folder with a copy of the interpreter and of the modules below, compiled
without their docstrings. Everything else (zlib and its kin, ctypes, threads of any
other kind, the text that comes with Python) is not forbidden there: it is not there.
"""

import hashlib
import importlib.util
import json
import marshal
import os
import re
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lmlib.data.cache import cache_folder

#: What an entry may import, beside what is built into the interpreter.
_NAMES = """
    __future__ abc array bisect codecs collections collections.abc colorsys
    contextlib copy dataclasses decimal enum fractions functools hashlib heapq io
    itertools json keyword math numbers operator os pickle queue random re resource
    sched statistics string stringprep struct textwrap time types typing unicodedata
    weakref encodings.ascii encodings.gb18030 encodings.latin_1 encodings.utf_16
    encodings.utf_16_le encodings.utf_8 numpy numpy.fft numpy.linalg
"""
MODULES = tuple(_NAMES.split())
#: Compressors, what could load one from elsewhere, and what is linked with zlib.
_LEFT_OUT = "zlib bz2 _bz2 lzma _lzma ctypes _ctypes zipfile binascii _hashlib"
ABSENT = tuple(_LEFT_OUT.split())
#: Pages of English that numpy attaches to what is written in C: empty in the room.
_EMPTIED = ("numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars")
_FORMAT = 1  # of a room; to be raised when this file makes others

# Imports all of it, and tells where each module lies.
_PROBE = """
import importlib, json, sys
sys.path.append(sys.argv[1])
for name in sys.argv[3].split():
    sys.modules[name] = None
for name in sys.argv[2].split():
    importlib.import_module(name)
print(json.dumps({name: module.__spec__.origin for name, module in sys.modules.items()
    if getattr(module, "__spec__", None) and module.__spec__.origin}))
"""


@dataclass(frozen=True)
class Room:
    """A room that is ready.

    Attributes:
        folder: holds it.
        interpreter: its Python.
        libraries: files outside that the loader needs.
    """

    folder: Path
    interpreter: Path
    libraries: tuple[Path, ...]

    def environment(self, hash_seed: int) -> dict[str, str]:
        """Of a process in the room, and no other variables."""
        folders = dict.fromkeys(str(path.parent) for path in self.libraries)
        return {
            "PYTHONHASHSEED": str(hash_seed),
            "LD_LIBRARY_PATH": ":".join(folders),
            "LANG": "C.UTF-8",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }

    def read_through(self) -> None:
        """Read all that a process can read, so that no file is a message to the next.

        A process cannot write them, but decide which of their pages stay in memory, a
        bit each (`posix_fadvise`), and whether the time of the last access is old.
        """
        buffer = bytearray(1 << 20)
        for path in (*self.folder.rglob("*"), *self.libraries):
            if path.is_file():
                with path.open("rb", buffering=0) as file:
                    while file.readinto(buffer):
                        pass


def room() -> Room:
    """The room for this Python and this numpy; made once, and kept in the cache.

    Raises:
        RuntimeError: zlib is a part of the interpreter here, and cannot be left out.
    """
    built_in = sorted(set(ABSENT) & set(sys.builtin_module_names))
    if built_in:
        raise RuntimeError(
            f"{', '.join(built_in)} cannot be taken out of this Python: run the "
            "contest with one whose modules are files"
        )
    key = hashlib.sha256(
        f"{_FORMAT} {sys.version} {_numpy()} {MODULES} {ABSENT}".encode()
    ).hexdigest()[:16]
    folder = cache_folder() / "contest" / key
    listed = folder / "libraries.json"
    if not listed.is_file():
        _make(folder)
    libraries = tuple(map(Path, json.loads(listed.read_text(encoding="utf-8"))))
    return Room(folder, folder / "bin" / "python3", libraries)


def _numpy() -> str:
    spec = importlib.util.find_spec("numpy")
    assert spec is not None
    assert spec.origin is not None
    stat = Path(spec.origin).stat()
    return f"{spec.origin} {stat.st_size} {stat.st_mtime_ns}"


def _make(folder: Path) -> None:
    """Build it beside its place, and rename it: whole, or not there."""
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
    library = partial / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = Path(_numpy().split(" ")[0]).parents[1]
    try:
        (library / "lib-dynload").mkdir(parents=True)
        interpreter = partial / "bin" / "python3"
        interpreter.parent.mkdir()
        shutil.copy(Path(sys.executable).resolve(), interpreter)
        words = [sys.executable, "-I", "-S", "-B", "-OO", "-c", _PROBE, str(packages)]
        words += [" ".join(MODULES), " ".join(ABSENT)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        extensions = []
        for name, origin in json.loads(done.stdout).items():
            path = _frozen(name) if origin == "frozen" else Path(origin)
            if not path.is_file():  # built into the interpreter
                continue
            if path.suffix == ".py":
                _compile(name, path, library)
            else:
                place = library / "lib-dynload"
                if packages in path.parents:
                    place = library / path.relative_to(packages).parent
                place.mkdir(parents=True, exist_ok=True)
                extensions.append(shutil.copy(path, place / path.name))
        if (private := packages / "numpy.libs").is_dir():
            shutil.copytree(private, library / "numpy.libs")
        libraries = _loaded([interpreter, *map(Path, extensions)], partial)
        listed = partial / "libraries.json"
        listed.write_text(json.dumps(libraries), encoding="utf-8")
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was first
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _frozen(name: str) -> Path:
    """Where a module that is frozen lies as a file, too: not all of it is frozen."""
    base = Path(os.__file__).parent / name.replace(".", "/")
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def _compile(name: str, path: Path, library: Path) -> None:
    """Without docstrings and asserts, as `python -OO` would, and without the source."""
    source = b"" if name in _EMPTIED else path.read_bytes()
    code = compile(source, f"<{name}>", "exec", dont_inherit=True, optimize=2)
    target = library.joinpath(*name.split("."))
    target = target / "__init__" if path.name == "__init__.py" else target
    target.parent.mkdir(parents=True, exist_ok=True)
    head = importlib.util.MAGIC_NUMBER + bytes(12)
    target.with_suffix(".pyc").write_bytes(head + marshal.dumps(code))


def _loaded(files: list[Path], inside: Path) -> list[str]:
    """The shared libraries that the loader finds for these outside the room."""
    words = ["ldd", *map(str, files)]
    said = subprocess.run(words, capture_output=True, text=True).stdout
    found = re.findall(r"(?m)^\t(?:\S+ => )?(/.+?) \(0x", said)
    return sorted({path for path in found if inside not in Path(path).parents})
