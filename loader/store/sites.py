"""The site's rules as a row, and the loaders at work. The SQL is `site.sql`."""

import json
import os
import socket
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from runtime.database import Session
from runtime.rules import SiteRules
from runtime.statements import statements
from schemas.errors import SchemaMissing

_SQL = statements("loader", "site.sql")


class RunningLoader(NamedTuple):
    """A loader process, and the rules that it was started with.

    Attributes:
        id: of this run; a process id comes again.
        name: host and process id, for people.
    """

    id: UUID
    name: str
    rules: SiteRules

    @classmethod
    def here(cls, rules: SiteRules) -> "RunningLoader":
        """This process."""
        return cls(uuid4(), f"{socket.gethostname()}:{os.getpid()}", rules)


class Site:
    """The site's row, over a session of somebody else's.

    Raises:
        DatabaseUnavailable: from every method; try again.
        SchemaMissing: from every method; the database is not migrated.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def rules(self) -> SiteRules:
        """What all loaders of the site follow."""
        with self._session.transaction():
            row = self._run("rules").fetchone()
        if row is None:
            raise SchemaMissing("statesys.site has lost its row; a loader that starts writes it")
        return SiteRules(*row)

    def start(self, loader: RunningLoader) -> bool:
        """Make a loader's rules the site's, and note that it is at work.

        Returns:
            Whether the site had other rules before.
        """
        with self._session.transaction():
            self._run("forget_dead")
            self._see(loader)
            written = self._run("write_rules", name=loader.name, **loader.rules._asdict())
            return bool(written.rowcount)

    def seen(self, loader: RunningLoader) -> None:
        """Note that a loader is still at work."""
        with self._session.transaction():
            self._see(loader)

    def leave(self, loader: RunningLoader) -> None:
        """Note that a loader ends; the site keeps its rules."""
        with self._session.transaction():
            self._run("leave", id=loader.id)

    def _see(self, loader: RunningLoader) -> None:
        rules = json.dumps(loader.rules.as_text())
        self._run("seen", id=loader.id, name=loader.name, rules=rules)

    def _run(self, statement: str, **values: Any) -> Any:
        return self._session.execute(_SQL[statement], values)
