"""The site's rules and running loaders in the database. The SQL is `site.sql`."""

import json
import os
import socket
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from runtime.database import Session
from runtime.rules import SiteRules, site_rules
from runtime.statements import statements

_SQL = statements("loader", "site.sql")


class RunningLoader(NamedTuple):
    """A loader process, and the rules that it was started with.

    Attributes:
        id: identifies this run of a loader, since process ids are reused.
        name: host and process id, for display.
        rules: its rules, from its settings.
    """

    id: UUID
    name: str
    rules: SiteRules

    @classmethod
    def here(cls, rules: SiteRules) -> "RunningLoader":
        """Describe this process, with a new id."""
        return cls(uuid4(), f"{socket.gethostname()}:{os.getpid()}", rules)


class Site:
    """Reads and writes the site's rules and loaders, on a session that the caller closes.

    Raises:
        DatabaseUnavailable: from every method; try again.
        SchemaMissing: from every method; the database is not migrated.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def rules(self) -> SiteRules:
        """Return the rules that all loaders of the site follow."""
        return site_rules(self._session)

    def start(self, loader: RunningLoader) -> bool:
        """Make a loader's rules those of the site, and note that it is running.

        Returns:
            Whether rules were written; False if a loader wrote the same ones before.
        """
        with self._session.transaction():
            self._run("forget_dead")
            self._see(loader)
            written = self._run("write_rules", name=loader.name, **loader.rules._asdict())
            return bool(written.rowcount)

    def seen(self, loader: RunningLoader) -> None:
        """Note that a loader is still running."""
        with self._session.transaction():
            self._see(loader)

    def leave(self, loader: RunningLoader) -> None:
        """Note that a loader has ended; the site keeps the rules."""
        with self._session.transaction():
            self._run("leave", id=loader.id)

    def _see(self, loader: RunningLoader) -> None:
        rules = json.dumps(loader.rules.as_text())
        self._run("seen", id=loader.id, name=loader.name, rules=rules)

    def _run(self, statement: str, **values: Any) -> Any:
        return self._session.execute(_SQL[statement], values)
