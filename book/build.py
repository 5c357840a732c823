"""Build the site: `make book`, or book/build.py with the environment's Python."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

BOOK = Path(__file__).resolve().parent
ROOT = BOOK.parent
HTML = BOOK / "_build" / "html"
LOG = BOOK / "_build" / "build.log"
EPOCH = "1700000000"  # one date for all figures: the same source, the same bytes


def copy_exercises() -> None:
    """Put each student's notebook where Sphinx looks, and take away what is gone."""
    target = BOOK / "exercises"
    target.mkdir(exist_ok=True)
    sources = {path.name: path for path in ROOT.glob("exercises/*/*.ipynb")}
    for old in target.iterdir():
        if old.name not in sources:
            old.unlink()
    for name, source in sources.items():
        copy = target / name
        # An untouched copy keeps its time, so that Sphinx need not read it again.
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            shutil.copyfile(source, copy)


def faults(log: str) -> str:
    """The errors and warnings of a build's log, each once, in their order.

    Of a page that raises, the page, the cell and the error: not the notebook client's
    own calls between them.
    """
    page = r"Executing notebook failed(?s:.*?)\[mystnb\.exec\]"
    fault = rf"^.*\b(?:WARNING|ERROR|CRITICAL): (?:{page}|.*)"
    calls = r"\nTraceback \(most recent call last\):(?s:.*?)(?=\nnbclient\.)"
    found = dict.fromkeys(re.findall(fault, log, re.MULTILINE))
    return "\n".join(re.sub(calls, "", text, count=1) for text in found)


def build() -> Path:
    """Build the site into book/_build/html; return the path of its first page.

    Raises:
        RuntimeError: there was an error or a warning; the message is the log and,
            once more as its last lines, what was wrong.
    """
    copy_exercises()
    LOG.parent.mkdir(exist_ok=True)
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    settings = {
        "PYTHONPATH": path,
        "SOURCE_DATE_EPOCH": EPOCH,
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not the user's
        "OMP_NUM_THREADS": "1",  # of a kernel: pages are run side by side
    }
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["--path-output", str(BOOK), "-W", "-n", "--keep-going"]
    with LOG.open("w", encoding="utf-8") as log:
        done = subprocess.run(
            [*command, "build", str(BOOK), *options],
            cwd=ROOT,
            env=os.environ | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    text = re.sub(r"\x1b\[[0-9;]*m", "", LOG.read_text(encoding="utf-8"))
    wrong = faults(text)
    if done.returncode and wrong:
        text += f"\nWhat was wrong, once more:\n{wrong}\n"
    LOG.write_text(text, encoding="utf-8")
    if done.returncode:
        # Sphinx warns of a page when it reads it: the next build must read all again.
        shutil.rmtree(BOOK / "_build" / ".doctrees", ignore_errors=True)
        raise RuntimeError(text)
    return HTML / "index.html"


def main() -> int:
    print("Building the book (the first time some minutes: every page is run) …")
    try:
        index = build()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        print(f"The book was not built. This log is also in {LOG}", file=sys.stderr)
        return 1
    print(f"The book is built. Open {index.as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
