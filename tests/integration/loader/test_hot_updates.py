"""Loading updates rows within their page: no index covers what changes with each report."""

from datetime import timedelta
from uuid import UUID

from loader.store.chunks import ChunkStore
from tests.support.waiting import wait_until
from tests.support.world import START, Tables, load, message, report

#: All versions of the rows fit into one page: a full one would send updates elsewhere.
CLIENTS, REPORTS = 4, 4


def updates(tables: Tables, table: str) -> tuple[int, int]:
    """All updates of a table, and those that touched no index."""
    ((all_of_them, hot),) = tables.rows(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = %s", table
    )
    return all_of_them, hot


def test_reports_within_an_hour_touch_no_index(store: ChunkStore, tables: Tables) -> None:
    def once(serial: int) -> None:
        for number in range(CLIENTS):
            one = message(serial, state=serial, minute=serial)
            load(
                store,
                report(one, client=UUID(int=number + 1, version=4)),
                received_at=START + timedelta(minutes=serial),
            )

    for serial in range(1, REPORTS + 1):
        once(serial)
    expected = CLIENTS * (REPORTS - 1)
    wait_until(lambda: updates(tables, "current_state")[0] >= expected, what="the statistics")
    for table in ("client", "current_state"):
        total, hot = updates(tables, table)
        assert total >= expected, table
        # The first report of a client sets the hour in which it was seen.
        assert hot >= total - (CLIENTS if table == "client" else 0), table
