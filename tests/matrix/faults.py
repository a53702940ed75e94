"""The faults as a table: each breaks one thing of a site, and repairs it.

A fault is over when its function returns: what was killed runs again (a supervisor starts it),
what was stopped goes on, what was cut is joined.
"""

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from random import Random

from runtime.services.processes import Process
from schemas.errors import StatesysError
from tests.matrix.forwarder import Forwarder
from tests.matrix.servers import Servers
from tests.matrix.site import FLEET, LOADERS, RELAYS, Site, lasts

#: What breaks something of a site; chance decides what is open.
Strike = Callable[[Site, Random], None]

#: Seconds that a short fault lasts, at least and at most.
_SHORT = (0.5, 4.0)
#: Seconds: three times the AMQP heartbeat, after which the broker has given up a stopped worker,
#: and PostgreSQL its open transaction.
_LONG = 95.0
#: Bytes before a line is torn: within the first frames, or after some batches.
_TEAR = (1, 300_000)
#: Seconds by which a slow line holds each piece.
_SLOW = (0.02, 0.3)


def _killed(names: tuple[str, ...], site: Site, chance: Random) -> None:
    name = chance.choice(names)
    site.send(name, signal.SIGKILL)
    site.end(name)
    site.start(name)


def _terminated(names: tuple[str, ...], site: Site, chance: Random) -> None:
    name = chance.choice(names)
    site.send(name, signal.SIGTERM)
    code = site.end(name)
    if code != 0:
        raise StatesysError(f"{name} ended with {code} after SIGTERM")
    site.start(name)


def _stopped(names: tuple[str, ...], site: Site, chance: Random) -> None:
    _frozen(partial(site.send, chance.choice(names)), chance.uniform(*_SHORT))


def _stopped_long(names: tuple[str, ...], site: Site, chance: Random) -> None:
    _frozen(partial(site.send, chance.choice(names)), _LONG)


def _all_killed(site: Site, _chance: Random) -> None:
    """A machine that loses its power, as far as the pipeline's own processes go."""
    names = (*RELAYS, *LOADERS, FLEET)
    for name in names:
        site.send(name, signal.SIGKILL)
    for name in names:
        site.end(name)
        site.start(name)


def _server_killed(which: Callable[[Servers], Process], site: Site, chance: Random) -> None:
    site.servers.kill(which(site.servers))
    lasts(chance.uniform(0, 1))
    site.servers.up_again()


def _server_restarted(
    which: Callable[[Servers], Process], how: signal.Signals, site: Site, _chance: Random
) -> None:
    site.servers.stop(which(site.servers), how)
    site.servers.up_again()


def _server_stopped(which: Callable[[Servers], Process], site: Site, chance: Random) -> None:
    _frozen(partial(os.kill, which(site.servers).pid), chance.uniform(*_SHORT))


def _backend(number: signal.Signals, site: Site, chance: Random) -> None:
    """One of the loaders' sessions: SIGTERM ends it; SIGKILL makes PostgreSQL recover."""
    # It may have ended since it was listed.
    with suppress(ProcessLookupError):
        os.kill(chance.choice(site.backends()), number)


def _backend_stopped(site: Site, chance: Random) -> None:
    """A session that stands still, with whatever locks it holds."""
    with suppress(ProcessLookupError):
        _frozen(partial(os.kill, chance.choice(site.backends())), chance.uniform(*_SHORT))


def _cut(site: Site, chance: Random) -> None:
    _line(site, chance).cut()


def _torn(site: Site, chance: Random) -> None:
    line = _line(site, chance)
    line.tear(chance.randint(*_TEAR))
    # On a quiet line the bytes may never come.
    lasts(chance.uniform(*_SHORT))
    if not line.torn:
        line.cut()
    line.resume()


def _stalled(site: Site, chance: Random) -> None:
    line = _line(site, chance)
    line.stall()
    lasts(chance.uniform(*_SHORT))
    # Half of them never recover: what was taken and not passed on is gone.
    if chance.random() < 0.5:
        line.cut()
    line.resume()


def _delayed(site: Site, chance: Random) -> None:
    line = _line(site, chance)
    line.delay(chance.uniform(*_SLOW))
    lasts(chance.uniform(*_SHORT))
    line.resume()


def _alarm(
    command: str, low: tuple[str, ...], usual: tuple[str, ...], site: Site, c: Random
) -> None:
    """The broker takes nothing from whoever publishes, until there is room again."""
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


def _line(site: Site, chance: Random) -> Forwarder:
    return site.lines[chance.choice(sorted(site.lines))]


def _broker(servers: Servers) -> Process:
    return servers.broker


def _database(servers: Servers) -> Process:
    return servers.database


_FLEET = (FLEET,)

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

#: All of them, for as long as you like.
FAULTS: Mapping[str, Strike] = {
    **QUICK,
    "relay: SIGSTOP for 95 s": partial(_stopped_long, RELAYS),
    "loader: SIGSTOP for 95 s": partial(_stopped_long, LOADERS),
    "producers: SIGSTOP for 95 s": partial(_stopped_long, _FLEET),
}
