"""Missing ranges: of one client, or page by page of all."""

from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import AwareDatetime, Field

from console.queries.query_session import QuerySession, all_of, named_text
from console.queries.rows import MissingRow
from runtime.database import sql
from runtime.rules import SiteRules
from schemas.serials import FIRST_SERIAL, LAST_SERIAL


class RangeKey(NamedTuple):
    """The place of a range in a list."""

    detected_at: AwareDatetime
    client_id: UUID
    range_id: Annotated[int, Field(ge=FIRST_SERIAL, le=LAST_SERIAL)]

    @classmethod
    def of(cls, row: MissingRow) -> "RangeKey":
        """The place of a row."""
        return cls(row.detected_at, row.client_id, row.range_id)


class MissingQueries(QuerySession):
    """The queries of `missing.sql`."""

    def missing(
        self,
        client_id: UUID | None = None,
        *,
        serial: int | None = None,
        closed: bool = False,
        limit: int | None = None,
        now: datetime | None = None,
        rules: SiteRules | None = None,
    ) -> list[MissingRow]:
        """Missing ranges, open ones first, oldest first.

        Args:
            client_id: None means all clients.
            serial: only ranges that include it.
            closed: closed ranges too.
            limit: rows at most; None means all.
        """
        values = {"client_id": client_id, "serial": serial, "closed": closed, "limit": limit}
        return self._missing(
            ["where_chosen_ranges"], "order_ranges", values | self._view(now, rules)
        )

    def missing_page(
        self,
        *,
        closed: bool = False,
        after: RangeKey | None = None,
        limit: int | None = None,
        now: datetime | None = None,
    ) -> list[MissingRow]:
        """A page of the ranges of all clients: open ones, oldest first, or closed ones, by client.

        Args:
            after: of the last range of the page before; None for the first page.
            limit: rows at most; None means all.
        """
        kind = "closed_ranges" if closed else "open_ranges"
        where = [f"where_{kind}"] if after is None else [f"where_{kind}", f"after_{kind}"]
        values = {**(after._asdict() if after else {}), "limit": limit, **self._view(now)}
        return self._missing(where, f"order_{kind}", values)

    def _missing(self, where: list[str], order: str, values: dict[str, Any]) -> list[MissingRow]:
        query = sql.SQL(named_text("missing")).format(
            where=all_of(where),
            order=sql.SQL(named_text(order)),
        )
        return self._rows_of(query, MissingRow, values)
