"""Two streams ordered by client are read side by side."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from lab.verify.comparison import ByClient

clients = st.integers(0, 8).map(lambda n: UUID(int=n))


@given(st.lists(st.tuples(clients, st.integers())), st.sets(clients))
def test_a_stream_gives_each_client_its_rows_and_no_others(
    rows: list[tuple[UUID, int]], asked: set[UUID]
) -> None:
    rows.sort()
    stream = ByClient(rows, lambda row: row[0])
    for client in sorted(asked):
        assert list(stream.take(client)) == [row for row in rows if row[0] == client]
