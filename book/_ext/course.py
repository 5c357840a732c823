"""What the course's site needs of Sphinx beyond its configuration."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

BOOK = Path(__file__).resolve().parent.parent
ROOT = BOOK.parent


def digest(paths: Iterable[Path]) -> str:
    """A hash of the names and contents of the files among `paths`."""
    total = hashlib.sha256()
    for path in sorted(path for path in paths if path.is_file()):
        if "__pycache__" not in path.parts:
            total.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


class Live(SphinxDirective):
    """The page that compresses what you type, on any page: `{live}`.

    With `{live} coder` the coder's picture is unfolded. A page has it once.
    """

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        file = BOOK / "_live" / "widget.html"
        self.env.note_dependency(os.fspath(file))
        root = "../" * self.env.docname.count("/")
        html = file.read_text(encoding="utf-8")
        html = html.replace('href="live/', f'href="{root}live/')
        if "coder" in self.arguments:
            html = html.replace('data-live="coder"', 'data-live="coder" open')
        return [nodes.raw("", f'<div class="live-card">{html}</div>', format="html")]


def settle(app: Sphinx, config: Config) -> None:
    """Let Sphinx see changes that it is blind to."""
    config.nb_execution_show_tb = True  # a page that raises says in which cell
    # Assets are copied when a page is written: a new style or template alone would not
    # appear.
    assets = (path for part in BOOK.glob("_[elstv]*") for path in part.rglob("*"))
    config.course_assets = digest(assets)


def warm_font_cache(app: Sphinx) -> None:
    # Else the first figure on a new machine says on stderr that the cache is made.
    import matplotlib.font_manager  # noqa: F401


def drop_unused_assets(app: Sphinx, error: Exception | None) -> None:
    static = Path(app.outdir) / "_static"
    for path in (static / "scripts" / "fontawesome.js", *static.rglob("*.map")):
        path.unlink(missing_ok=True)


def drop_removed_pages(app: Sphinx, error: Exception | None) -> None:
    # Sphinx leaves them on the site. Only what came from a page has its source there.
    for source in Path(app.outdir, "_sources").rglob("*.*"):
        name = source.relative_to(Path(app.outdir, "_sources")).with_suffix("")
        if source.is_file() and name.as_posix() not in app.env.found_docs:
            source.unlink()
            Path(app.outdir, f"{name}.html").unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("execution")
    app.add_config_value("course_assets", "", "html", str)
    app.add_directive("live", Live)
    app.connect("config-inited", settle)
    app.connect("builder-inited", warm_font_cache)
    app.connect("build-finished", drop_unused_assets)
    app.connect("build-finished", drop_removed_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
