"""Finds the client that a person means: by its id, or by its name in any letter case."""

from collections.abc import Sequence
from uuid import UUID

from runtime.database import Session
from runtime.options import GivenClient
from runtime.printable import printable
from schemas.errors import ExitCode, StatesysError

#: Machines of one name that an error lists.
_LISTED = 20
_NAMED = """
SELECT client_id, version, last_seen FROM statesys.client_named(%(name)s)
ORDER BY last_seen DESC NULLS LAST, client_id LIMIT %(limit)s
"""


_ALL_NAMED = """
SELECT asked.name, c.client_id
FROM (SELECT DISTINCT name FROM unnest(%(names)s::text[]) AS name) AS asked
CROSS JOIN LATERAL statesys.client_named(asked.name) AS c
"""
_KNOWN = "SELECT client_id FROM statesys.client WHERE client_id = ANY(%(ids)s)"


class UnusableList(StatesysError):
    """Some clients of a list are unknown or not unique; the message lists them."""

    exit_code = ExitCode.USAGE


class NameNotUnique(StatesysError):
    """Several machines have the name; the message lists them with their ids."""

    exit_code = ExitCode.USAGE


def client_id_of(session: Session, given: GivenClient) -> UUID:
    """Return the id of the client that a person means.

    Args:
        session: a session of the database.
        given: an id, which is returned as it is, or a name.

    Raises:
        NameNotUnique: several machines have the name.
        StatesysError: no client has the name.
        DatabaseUnavailable, SchemaMissing: as every query.
    """
    if isinstance(given, UUID):
        return given
    with session.transaction() as connection:
        found = connection.execute(_NAMED, {"name": given, "limit": _LISTED + 1}).fetchall()
    if not found:
        raise StatesysError(
            f"no client is named {given!r}; `statesys clients --name '{given[:1]}*'` lists names"
        )
    if len(found) > 1:
        raise NameNotUnique(_choice(given, found))
    (client_id, *_), *_ = found
    assert isinstance(client_id, UUID)
    return client_id


def client_ids_of(session: Session, given: Sequence[GivenClient]) -> list[UUID]:
    """Return the ids of the clients that a person lists, each once, in order.

    Raises:
        StatesysError: some are unknown, or names of several machines; the message lists them.
        DatabaseUnavailable, SchemaMissing: as every query.
    """
    names = [one for one in given if isinstance(one, str)]
    ids = [one for one in given if isinstance(one, UUID)]
    with session.transaction() as connection:
        named: dict[str, list[UUID]] = {name: [] for name in names}
        for name, client_id in connection.execute(_ALL_NAMED, {"names": names}):
            named[name].append(client_id)
        known = {one for (one,) in connection.execute(_KNOWN, {"ids": ids})}
    unknown = [
        *(name for name in named if not named[name]),
        *(one for one in ids if one not in known),
    ]
    several = [name for name in named if len(named[name]) > 1]
    if unknown or several:
        raise UnusableList(_problems(unknown, several))
    found = [one if isinstance(one, UUID) else named[one][0] for one in given]
    return list(dict.fromkeys(found))


def _problems(unknown: Sequence[object], several: Sequence[str]) -> str:
    problems = [
        f"{len(found):,} {what}: {', '.join(map(str, found[:_LISTED]))}"
        + (", …" if len(found) > _LISTED else "")
        for found, what in (
            (unknown, "of the list are unknown here"),
            (several, "are names of several machines, which need ids"),
        )
        if found
    ]
    return "; ".join(problems) + "; nothing was done"


def _choice(name: str, found: list[tuple[UUID, str, object]]) -> str:
    several = f"{len(found)}" if len(found) <= _LISTED else f"more than {_LISTED}"
    lines = "".join(
        f"\n  {client_id}  version {printable(version) or '-'}, last seen {seen or 'never'}"
        for client_id, version, seen in found[:_LISTED]
    )
    return f"{several} machines are named {name!r}; write the id of one of them:{lines}"
