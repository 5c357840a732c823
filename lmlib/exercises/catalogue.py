"""What the course says of its exercises: their words and numbers, none of their code.

The registry holds references and inputs, and imports torch. What makes notebooks and
pages needs no more than this, and a process without torch gets it from one that has
the registry (see `grading.io_process`).
"""

from dataclasses import dataclass

from lmlib.exercises.names import unknown


@dataclass(frozen=True)
class Entry:
    """An exercise in words; see `exercise.Exercise`.

    Attributes:
        explanations: what a student is told of each misconception, by its name.
    """

    name: str
    title: str
    difficulty: int
    minutes: int
    points: int
    hints: tuple[str, ...]
    explanations: dict[str, str]
    builds_on: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()

    @property
    def short_name(self) -> str:
        return self.name.split("/")[1]


_entries: dict[str, Entry] = {}


def entries() -> dict[str, Entry]:
    """All of the course, by name."""
    if not _entries:
        from lmlib.exercises.registry import EXERCISES

        use(
            {
                e.name: Entry(
                    e.name,
                    e.title,
                    e.difficulty,
                    e.minutes,
                    e.points,
                    e.hints,
                    {m.name: m.explanation for m in e.known_mistakes},
                    e.builds_on,
                    e.forbidden,
                )
                for e in EXERCISES.values()
            }
        )
    return _entries


def use(given: dict[str, Entry]) -> None:
    """Take `given` for the whole course, without asking the registry."""
    _entries.update(given)


def find_entry(name: str) -> Entry:
    """The entry of that name.

    Raises:
        KeyError: there is none; the message names those that are nearest.
    """
    if name not in entries():
        raise unknown(name, entries())
    return entries()[name]
