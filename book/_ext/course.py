"""What the course's site needs of Sphinx beyond its configuration."""

import hashlib
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

BOOK = Path(__file__).resolve().parent.parent
ROOT = BOOK.parent


def code_digest() -> str:
    """A hash of all that a page's code can import or read besides the page itself.

    The execution cache looks at the page alone, so a change of the library would leave
    the old outputs in the book.
    """
    beside_pages = (
        path
        for chapter in BOOK.glob("[0-9]*")
        for path in chapter.rglob("*")
        if path.suffix not in (".md", ".ipynb")
    )
    paths = [*(ROOT / "lmlib").rglob("*.py"), ROOT / "requirements.lock", *beside_pages]
    digest = hashlib.sha256()
    for path in sorted(path for path in paths if path.is_file()):
        if "__pycache__" not in path.parts:
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def choose_cache(app: Sphinx, config: Config) -> None:
    # Sphinx reads every page again when this value changes.
    config.nb_execution_cache_path = str(BOOK / "_build" / "cache" / code_digest())


def warm_font_cache(app: Sphinx) -> None:
    # Else the first figure on a new machine says on stderr that the cache is made.
    import matplotlib.font_manager  # noqa: F401


def drop_unused_assets(app: Sphinx, error: Exception | None) -> None:
    static = Path(app.outdir) / "_static"
    for path in (static / "scripts" / "fontawesome.js", *static.rglob("*.map")):
        path.unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", choose_cache)
    app.connect("builder-inited", warm_font_cache)
    app.connect("build-finished", drop_unused_assets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
