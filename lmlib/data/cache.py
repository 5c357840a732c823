"""Where downloaded and computed files are kept, and how they are written."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """`LMLIB_CACHE`, else `lmlib` in `XDG_CACHE_HOME`, else in `~/.cache`.

    Everything in it can be made again: it may be deleted at any time.
    """
    if own := os.environ.get("LMLIB_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(shared).expanduser() / "lmlib"


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
