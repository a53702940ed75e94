"""Read a Dockerfile as far as ours needs it; another instruction is an error."""

import json
from dataclasses import dataclass, field
from pathlib import Path

_KNOWN = {"WORKDIR", "RUN", "COPY", "ENV", "USER", "VOLUME", "STOPSIGNAL", "ENTRYPOINT", "CMD"}


@dataclass
class Stage:
    """What follows one FROM.

    Attributes:
        base: the image that it starts from.
        name: its name; empty if it has none.
        steps: instructions and their arguments, in order.
    """

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)


def stages(path: Path) -> list[Stage]:
    """The stages of a Dockerfile, in order."""
    found: list[Stage] = []
    for instruction, rest in _instructions(path.read_text(encoding="utf-8")):
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name))
        elif instruction in _KNOWN:
            found[-1].steps.append((instruction, rest))
        else:
            raise SystemExit(f"{path.name}: {instruction} is not known here")
    return found


def copied(rest: str) -> tuple[str | None, list[str], str]:
    """The arguments of COPY: the stage it takes from, sources and target."""
    words = rest.split()
    stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
    return stage, words[:-1], words[-1]


def words_of(rest: str) -> list[str]:
    """The arguments of ENTRYPOINT or CMD, in the form of JSON."""
    return [str(word) for word in json.loads(rest)]


def readable(ignore: Path) -> set[str]:
    """What a `.dockerignore` that ignores everything but some names lets a build read."""
    lines = ignore.read_text(encoding="utf-8").splitlines()
    if "*" not in lines:
        raise SystemExit(f"{ignore.name} is read here only if it ignores everything at first")
    return {line[1:].rstrip("/") for line in lines if line.startswith("!")}


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    parts = [line.split(maxsplit=1) for line in joined.splitlines()]
    return [(part[0].upper(), part[1].strip()) for part in parts]
