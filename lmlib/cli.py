"""The command line.

`lmlib check` for students, `lmlib grade` for instructors; `lmlib pretrain`, `finetune`,
`distill`, `quantize`, `prune`, `evaluate` and `generate` for everybody: each tells more
with --help.
"""

import argparse
import importlib.util
import shlex
import sys
from pathlib import Path
from typing import Any

import lmlib
from lmlib.commands import (
    check,
    distill,
    evaluate,
    finetune,
    generate,
    grade,
    pretrain,
    prune,
    quantize,
)

COMMANDS = (
    check,
    grade,
    pretrain,
    finetune,
    distill,
    quantize,
    prune,
    evaluate,
    generate,
)


def main(arguments: list[str] | None = None, **ready: Any) -> int:
    """Run one command; its exit status.

    Parameters:
        arguments: without the name of the program; by default those that were typed.
        ready: what the command need not make for itself (see `lmlib.warm_start`).
    """
    given = parse(arguments)
    vars(given).update(ready)
    given.command_line = shlex.join(
        ["lmlib", *(sys.argv[1:] if arguments is None else arguments)]
    )
    needs = getattr(given, "needs", {})
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    if missing:
        extra = needs[missing[0]]
        print(
            f"lmlib: this command needs {' and '.join(missing)}; in a copy of the "
            f"course's repository: pip install '.[{extra}]'",
            file=sys.stderr,
        )
        return 2
    if arguments is None and "begin" in given:  # typed, not called by a program
        given.begin(given)
    try:
        return int(given.run(given))
    except (OSError, ValueError, RuntimeError, KeyError, ArithmeticError) as error:
        print(f"lmlib: {as_typed(str(error), given)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = ": --resume goes on" if "resume" in given else ""
        print(f"\nlmlib: interrupted{again}", file=sys.stderr)
        return 130


#: What the library calls by another name than the command line does.
OPTIONS = {
    "n_train": "train",
    "batch_size": "batch",
    "vocab_size": "vocab",
    "validate_every": "every",
}


def as_typed(error: str, given: argparse.Namespace) -> str:
    """What the library says of an argument, of the option that was typed."""
    name, must, rest = error.partition(" must ")
    option = OPTIONS.get(name, name)
    return f"--{option}{must}{rest}" if must and option in given else error


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The arguments of a command, with the functions that run it."""
    parser = argparse.ArgumentParser(
        prog="lmlib",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser.parse_args(arguments)


def _version() -> str:
    """With the folder: another package of that name is on the Python index."""
    return f"lmlib {lmlib.__version__}, in {Path(lmlib.__file__).parent}"


if __name__ == "__main__":
    sys.exit(main())
