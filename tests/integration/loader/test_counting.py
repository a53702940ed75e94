"""What a loader counts of messages, dead letters and chunks, against what it loaded."""

import threading

from runtime.broker import Administration
from schemas.counts import CHUNK_DURATION, QUEUE_TIME
from schemas.topology import DEAD
from tests.support.processes import batch, fill, make_loader, ready, take_all
from tests.support.world import Tables, message, report

#: A value that the trigger below refuses.
BAD = "refused"
REFUSE = f"""
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no such thing' USING ERRCODE = '22023'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON current_state FOR EACH ROW
WHEN (NEW.topic_id = '{BAD}') EXECUTE FUNCTION refuse()
"""


def test_every_message_is_counted_once_with_its_verdict(
    amqp_url: str, database_url: str, tables: Tables
) -> None:
    tables.connection.execute(REFUSE)
    loader = make_loader(amqp_url, database_url, threading.Event(), loader_threads=1)
    first = report(*[message(serial, topic=f"t{serial}") for serial in range(1, 11)])
    other = report(message(3, topic="t3", state=7), message(4, topic="t4", state=7))
    poison = report(message(11, topic="t11"), message(12, topic=BAD), message(13, topic="t13"))
    fill(amqp_url, [batch(first), batch(first), batch(other), batch(poison), b"<no batch"])
    loader.run(exit_when_empty=True)
    assert ready(amqp_url, DEAD) == 2

    counters, counts = loader._reporter.tally.read()
    verdicts = {name: count for name, count in counts.items() if name.startswith("loaded.")}
    assert verdicts == {"loaded.new": 12, "loaded.duplicate": 10, "loaded.reused": 2}
    ((rows,),) = tables.rows("SELECT count(*) FROM state_message")
    assert rows == verdicts["loaded.new"] + verdicts["loaded.reused"]
    letters = {name: count for name, count in counts.items() if name.startswith("refused.")}
    assert letters == {"refused.database": 1, "refused.not_well_formed": 1}
    assert counters.refused == 2
    # The messages that were received long ago are in the last bucket.
    *_, longest, every = QUEUE_TIME.buckets(counts)
    assert (longest.observations, every.observations) == (0, counters.messages)
    assert counters.messages == sum(verdicts.values())
    assert CHUNK_DURATION.buckets(counts)[-1].observations == counters.chunks


def test_what_a_loader_counted_is_in_its_last_heartbeat(
    amqp_url: str, database_url: str, tables: Tables
) -> None:
    fill(amqp_url, [batch(report(message(1), message(2, topic="t2")))])
    make_loader(amqp_url, database_url, threading.Event()).run(exit_when_empty=True)
    ((counts, ended),) = tables.rows("SELECT counts, ended_at IS NOT NULL FROM worker")
    assert ended
    assert counts["loaded.new"] == 2
    assert counts["queue_time.more"] == 2
    with Administration(amqp_url, name="test") as admin:
        assert admin.depth(DEAD) is not None
    assert take_all(amqp_url, DEAD) == []
