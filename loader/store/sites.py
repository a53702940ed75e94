"""The site's settings and running loaders in the database. The SQL is `site.sql`."""

import json
import os
import socket
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from loader.store.shared import SharedStore
from runtime.database import Session
from runtime.rules import SiteRules
from runtime.site_settings import OWN, SiteSettings, site_settings
from runtime.statements import statements

_SQL = statements("loader", "site.sql")


class RunningLoader(NamedTuple):
    """A loader process, and the rules that it was started with.

    Attributes:
        id: identifies this run of a loader, since process ids are reused.
        name: host and process id, for display.
        rules: its rules, from its settings.
        given: names of the rules that it was given, by a flag or a variable.
    """

    id: UUID
    name: str
    rules: SiteRules
    given: frozenset[str]

    @classmethod
    def here(cls, rules: SiteRules, given: Collection[str] = SiteRules._fields) -> "RunningLoader":
        """Describe this process, with a new id."""
        return cls(uuid4(), this_process(), rules, frozenset(given) & {*SiteRules._fields})


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
        return site_settings(self._session).rules

    def start(self, loader: RunningLoader) -> bool:
        """Make a loader's rules those of the site, and note that it is running.

        What was imported from a site control file stays, unless the loader was given another value.

        Returns:
            Whether rules were written; False if the site has them already. The row is then not
            locked either.
        """
        with self._session.transaction():
            self._run("forget_dead")
            self._see(loader)
            if self._run("restore", name=loader.name, **loader.rules._asdict()).rowcount:
                return True
            found = site_settings(self._session)
            if found == found.after_start(loader.rules, loader.given):
                return False
            found = site_settings(self._session, lock=True)
            self._write(found.after_start(loader.rules, loader.given), by=loader.name)
            return True

    def take(self, values: Mapping[str, Any]) -> None:
        """Make the values of a site control file those of the site, instead of earlier ones.

        Args:
            values: by name, of the types of `Settings`.
        """
        with self._session.transaction():
            found = site_settings(self._session, lock=True)
            self._write(found.after_import(values), by=this_process())

    def forget_import(self) -> frozenset[str]:
        """Put defaults in the place of what was imported.

        Returns:
            The names of the settings that were imported.
        """
        with self._session.transaction():
            found = site_settings(self._session, lock=True)
            if found.imported:
                self._write(found.without_import(), by=this_process())
            return found.imported

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
        given = sorted(loader.given)
        self._run("seen", id=loader.id, name=loader.name, rules=rules, given=given)

    def _write(self, row: SiteSettings, *, by: str) -> None:
        values = {**dict.fromkeys(OWN), **row.values}
        self._run("write", name=by, origin=row.origin, imported=sorted(row.imported), **values)

    def _run(self, statement: str, **values: Any) -> Any:
        return self._session.execute(_SQL[statement], values)


class SiteStore(SharedStore):
    """A connection for the site's settings.

    Attributes:
        site: reads and writes them.
    """

    def __init__(self, url: str, *, name: str) -> None:
        super().__init__(url, name=name)
        self.site = Site(self._session)


def this_process() -> str:
    """Host and process id, for display."""
    return f"{socket.gethostname()}:{os.getpid()}"
