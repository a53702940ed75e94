"""The short form of `make fuzz`: some thousand inputs, and one of each large shape."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from schemas.refusal import Reason
from schemas.report import Report
from schemas.smx import Batch, parse_batch
from tests.fuzz import laws
from tests.fuzz.blocks import try_block
from tests.fuzz.documents import NEIGHBOURS
from tests.fuzz.largest import MAX_GROWTH, SHAPES, SIZES, Measured, measure
from tests.fuzz.laws import KINDS, Outcome, made
from tests.support.world import open_tables

# Seconds, on a busy machine.
pytestmark = pytest.mark.timeout(240)

SEED = 1
#: Reasons for which a relay refuses mutated reports; too large ones are tried as shapes.
REASONS = {None, *Reason} - {
    Reason.NEWER_FORMAT,
    Reason.DATABASE,
    Reason.DELIVERY_LIMIT,
    Reason.TOO_LARGE,
    # Not for what is in a report.
    Reason.QUARANTINED,
}


@pytest.mark.parametrize("block", range(4))
def test_a_mutated_report_is_refused_or_gets_into_the_database(
    block: int, database_url: str
) -> None:
    tried = try_block(SEED, block, NEIGHBOURS, database_url)
    assert tried.failures == []
    assert tried.stored > 0
    with open_tables(database_url) as tables:
        assert tables.ledger_errors() == []
        assert tables.rows("SELECT 1 FROM state_message LIMIT 1") == [(1,)]


def test_the_mutations_find_every_reason_and_leave_enough_to_read() -> None:
    outcomes = [KINDS["report"].law(made("report", SEED, number)) for number in range(4000)]
    found = [outcome.reason for outcome in outcomes]
    assert set(found) == REASONS
    assert found.count(None) > len(found) / 5
    # Both the fast path and the full reader read many of them.
    short = sum(outcome.canonical for outcome in outcomes)
    assert len(found) / 20 < short < found.count(None) * 0.8


def test_an_input_follows_from_its_seed_and_number() -> None:
    for kind in KINDS:
        first = [made(kind, SEED, number) for number in range(20)]
        assert first == [made(kind, SEED, number) for number in range(20)]
        assert len(set(first)) > 10
        assert first != [made(kind, SEED + 1, number) for number in range(20)]


def test_any_exception_but_a_refusal_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(body: bytes) -> Outcome:
        if body.startswith(b"<Report>"):
            raise RecursionError("too deep")
        return Outcome(Reason.BAD_DATE)

    monkeypatch.setitem(KINDS, "report", KINDS["report"]._replace(law=broken))
    failures = try_block(SEED, 0, 50, None).failures
    assert failures
    assert all("RecursionError: too deep" in failure.words for failure in failures)


def test_a_value_that_the_loader_reads_differently_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forgetful(body: bytes) -> Batch:
        read = parse_batch(body)
        return read._replace(smx=tuple(one._replace(report=_older(one.report)) for one in read.smx))

    def _older(report: Report) -> Report:
        return report._replace(client_version="0")

    monkeypatch.setattr(laws, "batch_both_ways", forgetful)
    kinds = {failure.kind for failure in try_block(SEED, 0, 50, None).failures}
    assert kinds == {"report"}


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (Measured((1.0, 2.0, 4.0, 8.0), 0, "read"), []),
        (Measured((0.1, 0.2, 0.1, 0.9), 0, "read"), []),
        (Measured((1.0, 2.0, 4.0, 16.0), 0, "read"), ["grows faster than its size"]),
        (Measured((9.0, 9.0, 9.0, 21.0), 0, "read"), ["over 20 s"]),
        (Measured((0.1, 0.1, 0.1, 0.1), 2**25, "read"), ["memory grows by more than 24 MiB"]),
    ],
)
def test_what_is_over_a_bound_is_named(measured: Measured, words: list[str]) -> None:
    assert measured.problems() == words


@pytest.mark.parametrize("name", SHAPES)
def test_a_large_shape_is_refused_or_read(name: str) -> None:
    # A quarter of the largest size, which takes a quarter of the time.
    body = SHAPES[name](SIZES[1], 0)
    assert 0.9 * SIZES[1] < len(body) <= SIZES[1]
    laws.report(body)


def test_names_that_are_always_new_are_not_kept() -> None:
    # In a new process, so that the memory of the test run does not count.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        measured = process.submit(measure, "attributes of other names").result()
    assert measured.broken == ""
    assert measured.growth < MAX_GROWTH
