"""Finds the client that a person means: by its id, or by its name in any letter case."""

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


def _choice(name: str, found: list[tuple[UUID, str, object]]) -> str:
    several = f"{len(found)}" if len(found) <= _LISTED else f"more than {_LISTED}"
    lines = "".join(
        f"\n  {client_id}  version {printable(version) or '-'}, last seen {seen or 'never'}"
        for client_id, version, seen in found[:_LISTED]
    )
    return f"{several} machines are named {name!r}; write the id of one of them:{lines}"
