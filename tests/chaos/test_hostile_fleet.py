"""Hostile clients of every kind, through a real relay and a real loader."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from console.dead.box import Box
from lab.servers import Servers
from lab.verify.verdict import Tally
from lab.verify.verifying import verify
from producers.hostile import HOSTILE, MALFORMED
from producers.hostile.malformed import REASONS
from producers.store import StoreReader
from runtime.broker import Administration
from schemas.refusal import Reason
from tests.chaos.copying import copy_rules
from tests.support.agreement import told_at, walk_days
from tests.support.processes import Program
from tests.support.waiting import wait_until

#: Shares of the forward cycles; large reports are rarer than the other kinds.
RATES = {
    **dict.fromkeys(HOSTILE, 0.05),
    # A share of the clients, not of the cycles.
    "twin": 0.1,
    "storm": 0.004,
    "many": 0.01,
    "details": 0.01,
    "burst": 0.02,
    MALFORMED: 0.08,
}
#: Faults on the way, in addition.
_FAULTS = (
    *("--loss", "0.03", "--duplicate", "0.03", "--reorder", "0.03", "--corrupt", "0.02"),
    "--no-heartbeat",
)
#: Afterwards the fleet sends only heartbeats and answers.
_AFTERWARDS = ("producers", "run", "--messages", "0", "--heartbeat-interval", "1s")
_LOADER = (
    *("loader", "run", "--resync-check-interval", "1s", "--min-missing-message-age", "5s"),
    *("--resync-merge-interval", "0s", "--threads", "2"),
)
# Seconds, for a storm, twelve thousand messages at once, and five resyncs of each pair of twins.
pytestmark = pytest.mark.timeout(240)
_PATIENCE = 150.0


class Site:
    """A relay, a loader, and a fleet that was hostile and now only sends heartbeats and answers."""

    def __init__(self, fleet: Path, servers: Servers, programs: list[Program]) -> None:
        self.fleet = fleet
        self.servers = servers
        self._programs = programs

    def verified(self) -> Tally:
        """Wait until the promise holds, and no range or request is open any more."""

        def proved() -> Tally | None:
            assert [one.process.poll() for one in self._programs] == [None] * 3
            tally = verify(self.fleet, self.servers, timeout=5).tally
            return None if tally is None or not tally.holds or self._asked() else tally

        tally = wait_until(proved, timeout=_PATIENCE, what="a verdict")
        assert tally is not None
        for program in self._programs:
            assert "Traceback" not in program.text
        return tally

    def reported(self) -> set[UUID]:
        """Clients with a duplicate identity."""
        return self._clients("duplicate_identity_at IS NOT NULL")

    def letters(self) -> Counter[str]:
        """Dead letters by reason."""
        with Administration(self.servers.amqp_url, name="test") as admin:
            return Counter(letter.reason for letter, _ in Box(admin).look())

    def _asked(self) -> set[UUID]:
        return self._clients(
            "duplicate_identity_at IS NULL AND ("
            "EXISTS (SELECT FROM statesys.missing_message_range m"
            "        WHERE m.client_id = c.client_id AND m.closed_at IS NULL)"
            "OR EXISTS (SELECT FROM statesys.resync_request r"
            "           WHERE r.client_id = c.client_id AND r.closed_at IS NULL))"
        )

    def _clients(self, which: str) -> set[UUID]:
        with psycopg.connect(self.servers.database_url) as connection:
            rows = connection.execute(
                f"SELECT client_id FROM statesys.client c WHERE {which}".encode()
            )
            return {client_id for (client_id,) in rows}


@pytest.fixture
def servers(amqp_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Servers:
    # These fleets do not wait between cycles: old serials come after a second, not 15 minutes.
    monkeypatch.setenv("STATESYS_REUSE_DATE_TOLERANCE", "1s")
    return Servers(amqp_url, database_url, None)


@contextmanager
def living(
    directory: Path,
    servers: Servers,
    hostile: Mapping[str, float],
    *options: str,
    at_worst: Callable[[], None] = lambda: None,
) -> Iterator[Site]:
    """Start a site whose fleet is hostile first; `at_worst` is called during that time."""
    urls = {"amqp_url": servers.amqp_url, "database_url": servers.database_url}
    fleet = directory / "fleet"
    rates = [w for kind, rate in hostile.items() for w in ("--hostile", f"{kind}={rate}")]
    with ExitStack() as stack:

        def run(name: str, *command: str) -> Program:
            return stack.enter_context(Program(directory / f"{name}.log", *command, **urls))

        workers = [run("relay", "relay", "run"), run("loader", *_LOADER)]
        command = ("producers", "publish", "--fleet", str(fleet), "--json")
        worst = run("worst", *command, *_FAULTS, *rates, *options)
        at_worst()
        assert worst.end() == 0, worst.text
        alive = run("fleet", *_AFTERWARDS, "--fleet", str(fleet))
        yield Site(fleet, servers, [*workers, alive])


def test_a_fleet_with_every_kind_of_hostility_ends_verified(
    servers: Servers, second_database_url: str, tmp_path: Path
) -> None:
    moments = []

    def at_worst() -> None:
        def copied() -> bool:
            moments.append(copy_rules(servers.database_url, second_database_url))
            return told_at(second_database_url, moments[-1]) >= {"complete", "too young"}

        wait_until(copied, timeout=_PATIENCE, what="complete clients, and ranges too young to ask")

    options = ("--clients", "40", "--cycles", "8", "--messages", "3", "--seed", "41")
    with living(tmp_path, servers, RATES, *options, at_worst=at_worst) as site:
        # Readers and the check agree on the copy of that time, while the site goes on.
        told = walk_days(second_database_url, 16, begin=moments[-1])
        assert told.keys() >= {"asked", "open request", "too young", "merge interval", "silent"}
        assert told.keys() >= {"gaps", "quiet", "complete"}
        tally = site.verified()

        with StoreReader(site.fleet) as store:
            done = Counter(store.injected_by_kind())
            harmed = {f.client_id for f in store.injected() if f.fault in HOSTILE}
        letters, reported = site.letters(), site.reported()
    # Every kind occurred, and each malformed report was refused for its reason.
    assert done.keys() >= RATES.keys() - {MALFORMED}
    assert letters.keys() == {reason.value for reason in REASONS}
    for reason in REASONS:
        damaged = done["corrupt"] if reason is Reason.NOT_WELL_FORMED else 0
        assert letters[reason.value] == done[f"{MALFORMED}.{reason.value}"] + damaged
    # The tally names all clients whose states cannot be compared, and only hostile ones.
    assert reported <= {UUID(sentence[:36]) for sentence in tally.exempt} <= harmed


def test_two_machines_with_one_id_are_reported_and_named(
    servers: Servers, second_database_url: str, tmp_path: Path
) -> None:
    options = ("--clients", "12", "--cycles", "3", "--messages", "3", "--seed", "1")
    with living(tmp_path, servers, {"twin": 0.4}, *options) as site:
        with StoreReader(site.fleet) as store:
            twins = {f.client_id for f in store.injected() if f.fault == "twin"}
        wait_until(site.reported, timeout=_PATIENCE, what="a report")
        copy_rules(servers.database_url, second_database_url)
        assert walk_days(second_database_url, 2)["duplicate identity"] > 0
        wait_until(lambda: site.reported() == twins, timeout=_PATIENCE, what="a report of each")
        tally = site.verified()

    assert len(twins) > 1
    assert {UUID(sentence[:36]) for sentence in tally.exempt} == twins
    assert all("two machines share this id" in sentence for sentence in tally.exempt)
