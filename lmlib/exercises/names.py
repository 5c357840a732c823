"""What to say of a name that is none of the course's exercises."""

import difflib
from collections.abc import Iterable


def unknown(name: str, known: Iterable[str]) -> KeyError:
    """What to raise for a name that is none of those known."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return KeyError(f"no exercise {name!r}; did you mean {', '.join(near or known)}?")
