"""What a student's process may answer: the one place where that is looked at.

`codec` makes values of bytes. Here it is decided whether a value is an answer to what
was asked. Whatever is not raises CodecError, and costs the test at hand alone.
"""

import contextlib
import re
from dataclasses import dataclass
from typing import Any

import torch

from lmlib.grading.examination.codec import CodecError, Handle, RemoteTensor
from lmlib.grading.results.text import one_line

#: Where an error arose: these words and no others, so that they can stand in a line of
#: ours. The name is that of a function.
_PLACE = re.compile(r" in line \d{1,7}(?: of (?:the cell|<\w{1,40}>|[^\W\d]\w{0,79}))?")
_END = re.compile(r"killed by SIG[A-Z0-9]{2,9}|exit status \d{1,3}")
#: How many parts the answer to a request has, after "value".
_PARTS = {
    "get": 1,
    "references": 0,
    "call": 3,
    "leaf": 1,
    "attribute": 1,
    "item": 1,
    "gradient": 1,
}


@dataclass(frozen=True)
class Incoming:
    """A RemoteTensor that has arrived and is not yet part of a graph here."""

    remote: RemoteTensor


@dataclass(frozen=True)
class Failed:
    """An error of the student's code.

    Attributes:
        name: of its class.
        text: its message, on one line.
        where: the place, in words; "" if it is not known.
        base: the name of the built-in class that it derives from.
    """

    name: str
    text: str
    where: str
    base: str = ""

    def __str__(self) -> str:
        return f"{self.name}{self.where}: “{self.text}”"


def _failed(parts: Any) -> Failed:
    if len(parts) not in (3, 4) or any(type(part) is not str for part in parts):
        raise CodecError("an error that is none")
    name, text, where, *base = parts
    return Failed(
        name if name.isidentifier() and len(name) <= 80 else "Exception",
        one_line(text, 500),
        where if _PLACE.fullmatch(where) else "",
        *base,
    )


def of_a_cell(answer: Any) -> Failed | None:
    """What `run` answers: None if the cell ran through.

    The cell has ended, whatever is said about it, so nothing is lost by an odd answer.
    """
    if type(answer) is tuple and not answer:
        return None
    if type(answer) is tuple and len(answer) == 3:
        with contextlib.suppress(CodecError):
            return _failed(answer)
    return Failed("Exception", "what became of it could not be read", "")


def of_an_end(answer: Any) -> str:
    """What `ended` and `alive` answer: how a copy has ended, "" if there is no more."""
    if type(answer) is not str:
        raise CodecError("no answer about an end")
    return answer if _END.fullmatch(answer) else ""


def of_a_test(request: tuple[Any, ...], answer: Any) -> tuple[Any, ...] | Failed:
    """What is answered within a test: the parts of a value, or an error."""
    operation, *asked = request
    if type(answer) is not tuple or not answer:
        raise CodecError("no answer")
    kind, *parts = answer
    if type(kind) is str and kind == "error" and len(parts) == 4:
        return _failed(parts)
    if type(kind) is not str or kind != "value" or len(parts) != _PARTS[operation]:
        raise CodecError("an answer of another form")
    if operation == "call":
        _check_call(asked, parts)
    elif operation == "leaf":
        (leaf,) = parts
        if type(leaf) is not Incoming or leaf.remote.leaves:
            raise CodecError("no leaf")
    elif operation == "gradient":
        _check_gradients(asked, parts)
    return tuple(parts)


def _check_call(asked: list[Any], parts: list[Any]) -> None:
    _, args, options = asked
    _, changed, numbers = parts
    if type(changed) is not list or type(numbers) is not list:
        raise CodecError("a call that is none")
    for change in changed:
        if type(change) is not list or len(change) != 2:
            raise CodecError("a change that is none")
        if type(change[0]) is not int or not 0 <= change[0] < len(args):
            raise CodecError("a change of no argument")
    if len(numbers) != len(args) + len(options):
        raise CodecError("numbers of other arguments")
    if any(type(number) is not int for number in numbers):
        raise CodecError("numbers that are none")


def _check_gradients(asked: list[Any], parts: list[Any]) -> None:
    _, _, inputs = asked
    (gradients,) = parts
    if type(gradients) is not list or len(gradients) != len(inputs):
        raise CodecError("gradients of other tensors")
    if any(g is not None and type(g) is not torch.Tensor for g in gradients):
        raise CodecError("gradients that are none")


def named(handle: Handle) -> Handle:
    """A handle whose words can stand in a line of ours."""
    kind = handle.kind if handle.kind.isidentifier() else "object"
    return Handle(handle.number, kind, handle.origin)
