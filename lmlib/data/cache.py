"""Where downloaded and computed files are kept, and how they are written."""

import functools
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """`LMLIB_CACHE`, else `lmlib` in `XDG_CACHE_HOME`, else in `~/.cache`.

    Everything in it can be made again: it may be deleted at any time.
    If nobody knows the home folder, it is a `temporary_folder`.
    """
    own = os.environ.get("LMLIB_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(own or f"{shared}/lmlib").expanduser()
    except RuntimeError as error:
        _go_without(str(error))
        return temporary_folder()


def temporary_folder() -> Path:
    """One that is removed when this process ends."""
    return Path(_temporary_folder().name)


@functools.cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="lmlib-")


@contextmanager
def kept_if_possible() -> Iterator[None]:
    """A block that writes to the cache: if that is impossible, it is said, once."""
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _go_without(place + (error.strerror or str(error)))


@functools.cache
def _go_without(reason: str) -> None:
    logging.getLogger(__name__).warning(
        "nothing is kept for the next time, for the cache cannot be written (%s): "
        "LMLIB_CACHE names another folder",
        reason,
    )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new name beside `path` to write to; renamed to `path` if the block ends well.

    A reader sees the old file or the whole new one, never a part; of two writers the
    later wins. A block that raises leaves `path` as it was and nothing behind. Who may
    read it is up to the umask; safetensors, left alone, would let its owner only.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}"
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
