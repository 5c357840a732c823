"""The command line.

`lmlib check` for students, `lmlib grade` for instructors; `lmlib pretrain`, `finetune`,
`predict`, `distill`, `quantize`, `prune`, `evaluate` and `generate`, `compress`,
`decompress` and `ledger` for everybody: each tells more with --help.
"""

import argparse
import importlib.util
import io
import os
import shlex
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

import lmlib
from lmlib.commands import (
    check,
    compress,
    decompress,
    distill,
    evaluate,
    finetune,
    generate,
    grade,
    ledger,
    predict,
    pretrain,
    prune,
    quantize,
)

COMMANDS = (
    *(check, grade, pretrain, finetune, predict, distill, quantize, prune),
    *(evaluate, generate, compress, decompress, ledger),
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
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Not every terminal has every letter, and not every name of a file is text.
        sys.stdout.reconfigure(errors="backslashreplace")
    if arguments is None and "begin" in given:  # typed, not called by a program
        given.begin(given)
    quiet = getattr(given, "quiet", False)
    try:
        with redirect_stdout(io.StringIO()) if quiet else nullcontext():
            return int(given.run(given))
    except BrokenPipeError:  # such as of `| head`, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MISTAKES as error:
        _complain(as_typed(told(error), given))
        return 2
    except KeyboardInterrupt:
        again = ": --resume goes on" if "resume" in given else ""
        print(f"\nlmlib: interrupted{again}", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get("LMLIB_TRACEBACK"):
            raise
        _complain(
            f"a mistake of lmlib's own, {type(error).__name__}: {told(error)} "
            "(with LMLIB_TRACEBACK=1 in the environment it says where)"
        )
        return 2


#: What the library raises of arguments and files; all else is a mistake in it.
MISTAKES = (
    *(OSError, ValueError, RuntimeError, KeyError, ArithmeticError),
    *(MemoryError, ImportError),
)


def _complain(text: str) -> None:
    # What was typed need not be text.
    text = text.encode("utf-8", "backslashreplace").decode()
    print(f"lmlib: {text}", file=sys.stderr)


def told(error: Exception) -> str:
    """What went wrong, in a line; in more where the library says what to do."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    memory = isinstance(error, MemoryError) or "can't allocate memory" in text
    if memory or "out of memory" in text:
        return "not enough memory: a smaller model, batch or length needs less"
    text = text.partition("\nException raised from")[0]  # where in torch's own code
    return text.strip() or type(error).__name__


#: What the library calls by another name than the command line does.
OPTIONS = {
    "n_train": "train",
    "batch_size": "batch",
    "vocab_size": "vocab",
    "validate_every": "every",
    "primed": "prime",
}


def as_typed(error: str, given: argparse.Namespace) -> str:
    """What the library says of an argument, of the option that was typed."""
    name, must, rest = error.partition(" must ")
    option = OPTIONS.get(name, name)
    if not must or option not in given:
        return error
    return f"--{option.replace('_', '-')}{must}{rest}"


class _Completion(argparse.Action):
    """Prints what a shell reads to complete words, and ends."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        try:
            import shtab
        except ImportError:
            parser.error(f"{option_string} needs shtab: pip install '.[completion]'")
        for own in (parser, *_commands(parser).values()):
            for action in own._actions:
                if action.type is Path:
                    action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, values))
        parser.exit()


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (found,) = (a.choices for a in parser._actions if isinstance(a.choices, dict))
    return dict(found)


class _Parser(argparse.ArgumentParser):
    """One whose errors are a line, without all of its options before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help tells more)\n")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The arguments of a command, with the functions that run it."""
    parser = _Parser(
        prog="lmlib",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument(
        "--completion",
        choices=["bash", "zsh"],
        action=_Completion,
        help='print a script for a shell; in bash: eval "$(lmlib --completion bash)"',
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    given, left = parser.parse_known_args(arguments)
    # After an option argparse takes no more of a list of texts: TEXT --json TEXT.
    if left and "texts" in given and not any(word.startswith("-") for word in left):
        given.texts += left
    elif left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    return given


def _version() -> str:
    """With the folder: another package of that name is on the Python index."""
    return f"lmlib {lmlib.__version__}, in {Path(lmlib.__file__).parent}"


if __name__ == "__main__":
    sys.exit(main())
