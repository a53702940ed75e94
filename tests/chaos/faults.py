"""The faults as a table: each breaks one part of a site, and repairs it.

A fault is over when its function returns: a killed program runs again (as a supervisor would
start it), a stopped one goes on, and connections work.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from random import Random

import click

from runtime.process_identity import Process
from schemas.errors import StatesysError
from tests.chaos.forwarder import Forwarder
from tests.chaos.servers import Servers
from tests.chaos.site import FLEET, LOADERS, RELAYS, Site, lasts
from tests.support.nodes import Pair

#: Breaks something of a site; the random generator makes the choices. When a server returns, the
#: result is the seconds from then until the workers made progress.
Strike = Callable[[Site, Random], float | None]

#: Seconds that a short fault lasts, at least and at most.
_SHORT = (0.5, 4.0)
#: Seconds: three times the AMQP heartbeat. By then the broker has closed the connection of a
#: stopped worker, and PostgreSQL has ended its open transaction.
_LONG = 95.0
#: Seconds of an outage: enough for a worker's pause between retries to exceed its bound, if the
#: bound did not work.
_OUTAGE = 60.0
#: Seconds for which a database takes nothing, at least and at most.
_REFUSING = (3.0, 8.0)
#: Bytes before a connection is torn: within the first frames, or after some batches.
_TEAR = (1, 300_000)
#: Seconds by which a slow connection delays each piece.
_SLOW = (0.02, 0.3)


def _killed(names: tuple[str, ...], site: Site, rng: Random) -> None:
    name = rng.choice(names)
    site.send(name, signal.SIGKILL)
    site.end(name)
    site.start(name)


def _terminated(names: tuple[str, ...], site: Site, rng: Random) -> None:
    name = rng.choice(names)
    site.send(name, signal.SIGTERM)
    code = site.end(name)
    if code != 0:
        raise StatesysError(f"{name} ended with {code} after SIGTERM")
    site.start(name)


def _stopped(names: tuple[str, ...], site: Site, rng: Random) -> None:
    _frozen(partial(site.send, rng.choice(names)), rng.uniform(*_SHORT))


def _stopped_long(names: tuple[str, ...], site: Site, rng: Random) -> None:
    _frozen(partial(site.send, rng.choice(names)), _LONG)


def _all_killed(site: Site, _rng: Random) -> None:
    """Kill all own processes of the pipeline, as a power failure would."""
    names = (*RELAYS, *LOADERS, FLEET)
    for name in names:
        site.send(name, signal.SIGKILL)
    for name in names:
        site.end(name)
        site.start(name)


def _server_killed(which: Callable[[Servers], Process], site: Site, rng: Random) -> float:
    site.servers.kill(which(site.servers))
    lasts(rng.uniform(0, 1))
    return _returned(which, site)


def _server_restarted(
    which: Callable[[Servers], Process], how: signal.Signals, site: Site, _rng: Random
) -> float:
    site.servers.stop(which(site.servers), how)
    return _returned(which, site)


def _server_away(
    which: Callable[[Servers], Process],
    how: signal.Signals,
    waiting: tuple[str, ...],
    seconds: float,
    site: Site,
    _rng: Random,
) -> float:
    """Check that the fleet goes on, and that workers report the outage and need no restart."""
    pids, numbered = site.pids(), site.numbered()
    site.servers.stop(which(site.servers), how)
    gone = time.monotonic()
    site.await_health(waiting, well=False)
    site.await_numbered(numbered + 1)
    lasts(max(0.0, gone + seconds - time.monotonic()))
    site.await_health(waiting, well=False)
    recovery = _returned(which, site)
    site.await_health(("relay", "loader"), well=True)
    site.require_same(pids)
    return recovery


def postgres_away(seconds: float) -> Strike:
    """An outage of this length at least."""
    return partial(_server_away, _database, signal.SIGINT, ("loader",), seconds)


def rabbitmq_away(seconds: float) -> Strike:
    """An outage of this length at least."""
    return partial(_server_away, _broker, signal.SIGTERM, ("relay", "loader"), seconds)


def _returned(which: Callable[[Servers], Process], site: Site) -> float:
    """Start a server again; seconds until the workers have done something with it."""
    there = site.servers.up_again()
    # A commit proves that the database works, a new report in it that the broker does too.
    return site.await_progress(there, received=which is _broker)


def failover(servers: Pair, *, behind: int) -> Strike:
    """Kill the primary under load, and promote the standby; no worker is touched.

    Args:
        behind: messages that the primary has and the standby has not, at least.
    """

    def strike(site: Site, _rng: Random) -> float:
        pids = site.pids()
        if behind:
            servers.standby.lose_primary()
            site.await_stored(site.stored() + behind)
        gone = time.time()
        servers.fail_over()
        progress = site.await_progress(gone, received=False)
        site.await_health(("loader",), well=True)
        site.require_same(pids)
        return progress

    return strike


def _database_refuses(
    refuse: tuple[str, ...], allow: tuple[str, ...], site: Site, rng: Random
) -> float:
    """Make the database refuse all rows; loaders must keep the messages and report trouble."""
    with _waiting_loaders(site):
        site.tell_database(*refuse)
        try:
            site.await_health(("loader",), well=False)
            lasts(rng.uniform(*_REFUSING))
        finally:
            site.tell_database(*allow)
        return site.await_progress(time.time(), received=False)


def _database_disk_full(site: Site, rng: Random) -> float:
    """PostgreSQL refuses statements that need space, and may stop when its own log does."""
    with _waiting_loaders(site):
        with site.disks["postgres"].full():
            site.await_health(("loader",), well=False)
            lasts(rng.uniform(*_REFUSING))
        return _returned(_database, site)


def _broker_disk_full(site: Site, rng: Random) -> float:
    """RabbitMQ stops writing its log and does not recover by itself: an operator restarts it.

    RabbitMQ 3.10 may have damaged the logs of queues then, which an operator deletes.
    """
    pids = site.pids()
    with site.disks["rabbitmq/data"].full():
        lasts(rng.uniform(*_REFUSING))
    site.servers.kill(site.servers.broker)
    there = site.servers.up_again()
    if deleted := site.servers.delete_leaderless():
        click.echo(f"the broker could not read, and we deleted: {', '.join(deleted)}", err=True)
    recovery = site.await_progress(there, received=True)
    site.await_health(("relay", "loader"), well=True)
    site.require_same(pids)
    return recovery


@contextmanager
def _waiting_loaders(site: Site) -> Iterator[None]:
    """Check at the end that the loaders are healthy again without a restart."""
    pids = site.pids()
    yield
    site.await_health(("loader",), well=True)
    site.require_same(pids)


def _server_stopped(which: Callable[[Servers], Process], site: Site, rng: Random) -> None:
    _frozen(partial(os.kill, which(site.servers).pid), rng.uniform(*_SHORT))


def _backend(number: signal.Signals, site: Site, rng: Random) -> None:
    """Signal one of the loaders' sessions: SIGTERM ends it, SIGKILL makes PostgreSQL recover."""
    pid = rng.choice(site.backends())
    # It may have ended since it was listed.
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    site.servers.await_end_of(pid)
    site.servers.await_answers()


def _backend_stopped(site: Site, rng: Random) -> None:
    """Stop a session for a while, with all locks that it holds."""
    with suppress(ProcessLookupError):
        _frozen(partial(os.kill, rng.choice(site.backends())), rng.uniform(*_SHORT))


def _cut(site: Site, rng: Random) -> None:
    _line(site, rng).cut()


def _torn(site: Site, rng: Random) -> None:
    line = _line(site, rng)
    line.tear(rng.randint(*_TEAR))
    # On an idle connection the bytes may never come.
    lasts(rng.uniform(*_SHORT))
    if not line.torn:
        line.cut()
    line.resume()


def _stalled(site: Site, rng: Random) -> None:
    line = _line(site, rng)
    line.stall()
    lasts(rng.uniform(*_SHORT))
    # Half of them never recover: the forwarder loses the bytes that it has not passed on.
    if rng.random() < 0.5:
        line.cut()
    line.resume()


def _delayed(site: Site, rng: Random) -> None:
    line = _line(site, rng)
    line.delay(rng.uniform(*_SLOW))
    lasts(rng.uniform(*_SHORT))
    line.resume()


def _alarm(
    command: str, low: tuple[str, ...], usual: tuple[str, ...], site: Site, c: Random
) -> None:
    """Set an alarm: the broker blocks all publishers until it is reset."""
    site.servers.rabbitmqctl(command, *low)
    try:
        lasts(c.uniform(*_SHORT))
    finally:
        site.servers.rabbitmqctl(command, *usual)


def _frozen(send: Callable[[signal.Signals], object], seconds: float) -> None:
    send(signal.SIGSTOP)
    try:
        lasts(seconds)
    finally:
        send(signal.SIGCONT)


def _line(site: Site, rng: Random) -> Forwarder:
    return site.lines[rng.choice(sorted(site.lines))]


def _broker(servers: Servers) -> Process:
    return servers.broker


def _database(servers: Servers) -> Process:
    return servers.database


_FLEET = (FLEET,)

_RELOAD = "SELECT pg_reload_conf()"

#: The faults of the short matrix: each takes seconds.
QUICK: Mapping[str, Strike] = {
    "relay: SIGKILL": partial(_killed, RELAYS),
    "relay: SIGTERM": partial(_terminated, RELAYS),
    "relay: SIGSTOP, SIGCONT": partial(_stopped, RELAYS),
    "loader: SIGKILL": partial(_killed, LOADERS),
    "loader: SIGTERM": partial(_terminated, LOADERS),
    "loader: SIGSTOP, SIGCONT": partial(_stopped, LOADERS),
    "producers: SIGKILL": partial(_killed, _FLEET),
    "producers: SIGTERM": partial(_terminated, _FLEET),
    "producers: SIGSTOP, SIGCONT": partial(_stopped, _FLEET),
    "PostgreSQL: SIGKILL": partial(_server_killed, _database),
    "PostgreSQL: restart": partial(_server_restarted, _database, signal.SIGINT),
    "PostgreSQL: read-only": partial(
        _database_refuses,
        ("ALTER SYSTEM SET default_transaction_read_only = on", _RELOAD),
        ("ALTER SYSTEM RESET default_transaction_read_only", _RELOAD),
    ),
    "PostgreSQL: a missing grant": partial(
        _database_refuses,
        # The owner's right, which the loaders' user inherits. The caller is superuser.
        ("REVOKE INSERT ON statesys.state_message FROM statesys",),
        ("GRANT INSERT ON statesys.state_message TO statesys",),
    ),
    "PostgreSQL: SIGKILL of a session": partial(_backend, signal.SIGKILL),
    "PostgreSQL: SIGTERM of a session": partial(_backend, signal.SIGTERM),
    "PostgreSQL: a session stands still": _backend_stopped,
    "RabbitMQ: SIGKILL": partial(_server_killed, _broker),
    "RabbitMQ: restart": partial(_server_restarted, _broker, signal.SIGTERM),
    "RabbitMQ: SIGSTOP, SIGCONT": partial(_server_stopped, _broker),
    "RabbitMQ: memory alarm": partial(
        _alarm, "set_vm_memory_high_watermark", ("0.00001",), ("0.25",)
    ),
    "RabbitMQ: disk alarm": partial(_alarm, "set_disk_free_limit", ("900000GB",), ("1GB",)),
    "connection: cut": _cut,
    "connection: torn within a frame": _torn,
    "connection: stalled": _stalled,
    "connection: slow": _delayed,
    "all workers: SIGKILL at once": _all_killed,
}

#: Faults that take a minute or more.
LONG: Mapping[str, Strike] = {
    "relay: SIGSTOP for 95 s": partial(_stopped_long, RELAYS),
    "loader: SIGSTOP for 95 s": partial(_stopped_long, LOADERS),
    "producers: SIGSTOP for 95 s": partial(_stopped_long, _FLEET),
    "PostgreSQL: away for 60 s": postgres_away(_OUTAGE),
    "RabbitMQ: away for 60 s": rabbitmq_away(_OUTAGE),
}

#: Faults that need a site with small disks.
DISK: Mapping[str, Strike] = {
    "PostgreSQL: full disk": _database_disk_full,
    "RabbitMQ: full disk, restart": _broker_disk_full,
}

#: All faults, for the soak.
FAULTS: Mapping[str, Strike] = {**LONG, **DISK, **QUICK}
