"""The SQL files that make the tables, and whether a database has those of this version."""

from collections.abc import Collection
from importlib.resources import files as _resources

from schemas.errors import SchemaMissing, StatesysError


def files() -> list[tuple[str, str]]:
    """Name and text of each file of `schemas/postgres`, in the order in which they are applied."""
    found = _resources("schemas").joinpath("postgres").iterdir()
    return sorted((f.name, f.read_text(encoding="utf-8")) for f in found if f.name.endswith(".sql"))


def granting() -> str:
    """The text of `granting.sql`: functions that the files call to give rights on what is new."""
    return _resources("schemas").joinpath("granting.sql").read_text(encoding="utf-8")


def unapplied(applied: Collection[str]) -> list[tuple[str, str]]:
    """The files that a database lacks.

    Args:
        applied: names of the files that it has.

    Raises:
        StatesysError: it has files that this version does not know.
    """
    ours = files()
    newer = sorted(set(applied) - {name for name, _ in ours})
    if newer:
        raise StatesysError(
            f"the tables were made by a newer statesys ({', '.join(newer)}): install that version"
        )
    return [(name, text) for name, text in ours if name not in applied]


def require_current(applied: Collection[str]) -> None:
    """Refuse tables of another version.

    Raises:
        StatesysError: a newer version made them.
        SchemaMissing: an older version made them.
    """
    lacking = [name for name, _ in unapplied(applied)]
    if lacking:
        raise SchemaMissing(
            f"the tables were made by an older statesys ({', '.join(lacking)} not applied): "
            "run `statesys loader migrate`"
        )
