"""Whose the folders of a Gradescope export are.

Its assignment_<number>_export/ holds a folder submission_<number>/ for each submission,
and submission_metadata.yml beside them, written by Ruby:

    submission_567:
      :submitters:
      - :name: Jane Doe
        :sid: '1001'
        :email: jane@example.org
      :created_at: 2024-05-01 12:00:00.000000000 Z

Students choose their names there; sid and email come from the list of the course.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

METADATA = "submission_metadata.yml"
EXPORT = re.compile(r"assignment_\d+_export")
FOLDER = re.compile(r"submission_\d+")


@dataclass(frozen=True)
class Submitter:
    name: str
    sid: str = ""
    email: str = ""


@dataclass(frozen=True)
class Handed:
    """Who handed in a folder, a group perhaps, and when (in UTC)."""

    submitters: tuple[Submitter, ...]
    time: datetime | None = None


def read_metadata(data: bytes) -> dict[str, Handed]:
    """What the file says of each folder.

    Raises:
        ValueError: it cannot be read.
    """
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Reads objects of Ruby's as what they are made of."""

    def plain(loader: Any, tag: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        return None if isinstance(node, yaml.SequenceNode) else node.value

    Loader.add_multi_constructor("!ruby/", plain)
    try:
        found = yaml.load(_needed(data.decode()), Loader=Loader)  # a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{METADATA} cannot be read") from error
    if not isinstance(found, Mapping):
        raise ValueError(f"{METADATA} cannot be read")
    return {
        folder: Handed(submitters, _time(about.get(":created_at")))
        for folder, about in found.items()
        if isinstance(folder, str) and isinstance(about, Mapping)
        if (submitters := _submitters(about.get(":submitters")))
    }


def _needed(text: str) -> str:
    """Without the results of an autograder, which are most of the file."""
    lines, wanted = [], True
    for line in text.splitlines():
        if key := re.match(r"  (:\w+:)", line):
            wanted = key[1] in (":submitters:", ":created_at:")
        if wanted or line[:1].strip():
            lines.append(line)
    return "\n".join(lines)


def _submitters(people: Any) -> tuple[Submitter, ...]:
    found = []
    for person in people if isinstance(people, list) else ():
        if isinstance(person, Mapping):
            name, sid, email = (
                str(person.get(key) or "").strip()
                for key in (":name", ":sid", ":email")
            )
            if name or sid or email:
                found.append(Submitter(name or sid or email, sid, email))
    return tuple(found)


def _time(time: Any) -> datetime | None:
    if isinstance(time, Mapping):  # ActiveSupport::TimeWithZone
        time = time.get("utc")
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return None
    if not isinstance(time, datetime):
        return None
    return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
