"""Collections in the database: made, deleted, evaluated. The SQL is `collections.sql`."""

import json
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple, cast

from loader.store.shared import SharedStore
from loader.store.sites import Site
from runtime.collection_rules import Rule, RuleRefused, compiled, parse_rule
from runtime.database import StatementFailed, sql
from runtime.statements import statements


class Evaluated(NamedTuple):
    """One evaluation of a collection.

    Attributes:
        joined, left: clients that became members, and that are no longer.
        problem: why the rule could not be evaluated; None if it was.
    """

    name: str
    joined: int
    left: int
    problem: str | None


class CollectionStore(SharedStore):
    """A connection for collections."""

    _sql = statements("loader", "collections.sql")

    def __init__(self, url: str, *, name: str) -> None:
        super().__init__(url, name=name)
        self._site = Site(self._session)

    def create(self, name: str, rule: str, *, replace: bool = False) -> bool:
        """Make a collection, whose members a loader finds within a minute.

        Args:
            name, rule: checked by the caller.
            replace: give an existing collection of the name this rule.

        Returns:
            Whether it was made; False if there is one of the name.
        """
        return self._one("replace" if replace else "create", name=name, rule=rule) is not None

    def delete(self, name: str) -> bool:
        """Delete a collection; return False if there is none of the name."""
        return self._one("delete", name=name) is not None

    def evaluate_next(self, *, now: datetime, interval: timedelta) -> Evaluated | None:
        """Evaluate the collection that is due for longest, in a transaction of its own.

        The moment of the evaluation is written in the same transaction, so one that fails is
        repeated by the next loader.

        Args:
            now: timezone-aware; a parameter, so that tests need not wait.
            interval: between two evaluations of a collection.

        Returns:
            What was found; None if nothing is due.
        """
        due: Any = None
        try:
            with self._session.transaction():
                # Without some tolerance, a timer that fires early would skip every second interval.
                due = self._run("due", now=now, interval=interval * 0.9).fetchone()
                return None if due is None else self._evaluate(due, now)
        except (RuleRefused, StatementFailed) as error:
            if due is None:
                raise
            # The members stay as they are. The next try is an interval later, like everybody's, so
            # that one collection holds up no other.
            number, name, _ = due
            self._one("failed", id=number, now=now, problem=str(error))
            return Evaluated(name, 0, 0, str(error))

    def _evaluate(self, due: tuple[int, str, str], now: datetime) -> Evaluated:
        number, name, text = due
        joined, left, conditions = self._find_members(number, parse_rule(text), now)
        self._run("evaluated", id=number, now=now, conditions=json.dumps(conditions))
        return Evaluated(name, joined, left, None)

    def _find_members(
        self, number: int, rule: Rule, now: datetime
    ) -> tuple[int, int, dict[str, int]]:
        source, parameters = compiled(rule)
        # The file is part of the package and constant, so it is safe as a LiteralString.
        text = cast(LiteralString, self._sql["evaluate"])  # type: ignore[redundant-cast]
        values = {
            **parameters,
            **self._site.rules().ages,
            "id": number,
            "now": now,
        }
        row = self._session.execute(sql.SQL(text).format(source=source), values).fetchone()
        assert row is not None
        return row[0], row[1], row[2]

    def _one(self, statement: str, **values: Any) -> Any:
        with self._session.transaction():
            return self._run(statement, **values).fetchone()
