"""What a loaded chunk adds to the finer counts of its loader. No I/O."""

from collections.abc import Mapping
from datetime import UTC, datetime

from loader.store.chunks import Loaded
from schemas.counts import CHUNK_DURATION, QUEUE_TIME, Counts, Verdict, loaded


def counts_of(
    received: Mapping[str, int], verdicts: Loaded, *, took: float, now: datetime
) -> Counts:
    """Count a chunk.

    Args:
        received: its state messages by the moment of their reception, as `loader.reader.Rows` has.
        verdicts: what the database said of them.
        took: seconds of loading.
        now: aware; the queue time ends here. Relays have clocks of their own.
    """
    counts = Counts(
        {
            loaded(Verdict.NEW): verdicts.new,
            loaded(Verdict.LATE): verdicts.late,
            loaded(Verdict.REUSED): verdicts.reused,
            loaded(Verdict.DUPLICATE): verdicts.duplicates,
        }
    )
    CHUNK_DURATION.add_to(counts, took)
    for at, messages in received.items():
        waited = now - datetime.fromisoformat(at).replace(tzinfo=UTC)
        QUEUE_TIME.add_to(counts, waited.total_seconds(), times=messages)
    # Without zeros.
    return +counts
