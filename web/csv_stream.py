"""A whole list as CSV: read page by page, so that neither server nor database holds it."""

from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from typing import Any, Generic, NamedTuple, TypeVar

from fastapi.responses import StreamingResponse

from console.csv_output import write_csv
from web.readers import Readers, SiteQueries

Row = TypeVar("Row")
Place = TypeVar("Place")

#: Rows read at a time.
PAGE = 1000


class Part(NamedTuple, Generic[Row, Place]):
    """Rows of a list, maybe none, and where it goes on; `behind` None: it ends here."""

    rows: list[Row]
    behind: Place | None


def _unchanged(row: Any) -> Sequence[Any]:
    found: Sequence[Any] = row
    return found


def csv_stream(
    readers: Readers,
    filename: str,
    columns: Sequence[str],
    find: Callable[[SiteQueries, Place | None], list[Row]],
    *,
    key: Callable[[Row], Place],
    cells: Callable[[Row], Sequence[Any]] = _unchanged,
) -> StreamingResponse:
    """A file for a spreadsheet.

    The first page is read before the answer begins, so an error is still an error page.

    Args:
        find: the next rows behind a place, at most `PAGE`; None means the first ones.
        key: the place of a row.
        cells: the values of a row, as many as columns.
    """

    def next_part(queries: SiteQueries, behind: Place | None) -> Part[Row, Place]:
        page = find(queries, behind)
        return Part(page, key(page[-1]) if len(page) >= PAGE else None)

    return csv_of_search(readers, filename, columns, next_part, cells)


def csv_of_whole(
    readers: Readers,
    filename: str,
    columns: Sequence[str],
    rows: Callable[[SiteQueries], list[Row]],
    cells: Callable[[Row], Sequence[Any]] = _unchanged,
) -> StreamingResponse:
    """A file as of `csv_stream`, of a list that is read at once."""

    def only_part(queries: SiteQueries, _behind: None) -> Part[Row, None]:
        return Part(rows(queries), None)

    return csv_of_search(readers, filename, columns, only_part, cells)


def csv_of_search(
    readers: Readers,
    filename: str,
    columns: Sequence[str],
    next_part: Callable[[SiteQueries, Place | None], Part[Row, Place]],
    cells: Callable[[Row], Sequence[Any]],
) -> StreamingResponse:
    """A file as of `csv_stream`, for a search that stops at times without a full page.

    Args:
        next_part: what one search finds behind a place; None means from the beginning. It has a
            snapshot of its own, so it should be short.
    """

    def read(behind: Place | None) -> Part[Row, Place]:
        with readers.snapshot() as queries:
            return next_part(queries, behind)

    def lines(part: Part[Row, Place]) -> Iterator[str]:
        yield _text([columns])
        # An empty part is told too: between two parts, the answer ends if its client is gone.
        yield _text(map(cells, part.rows))
        while part.behind is not None:
            part = read(part.behind)
            yield _text(map(cells, part.rows))

    return StreamingResponse(
        lines(read(None)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


def _text(rows: Any) -> str:
    text = StringIO()
    write_csv(text, rows)
    return text.getvalue()
