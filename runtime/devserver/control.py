"""Both servers together: up, down, and whether they run."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from runtime.devserver import place, postgres, processes, rabbitmq, registry
from runtime.devserver.errors import ServicesError
from runtime.devserver.registry import Endpoints, Services
from runtime.files import our_directory

_LOCK = "services.lock"

# Bytes of the home's path. PostgreSQL allows 1,023 for the path of a file, and Erlang fewer than
# Linux; the longest path below the home has about 200.
_LONGEST_HOME = 700

# RabbitMQ does not start with one of these in the path, nor with letters beyond ASCII. A line
# break would end a line of PostgreSQL's pid file.
_REFUSED = frozenset("'\"")


def up(home: Path) -> Endpoints:
    """Start the servers that do not run, and wait until both answer.

    Safe to call again, and from several processes at a time: one does the work, the others wait.
    A server that was started before an error stays recorded: the next `up` continues from there,
    and `down` stops it.

    Args:
        home: the directory of all data; made if it is missing.

    Raises:
        ServicesError: a server is not installed or does not come up, or cannot use this path.
    """
    home = home.resolve()
    _require_usable(home)
    try:
        our_directory(home)
        with _alone(home) as lock:
            return _up(_known(home) or registry.create(home), lock).endpoints
    except OSError as error:
        raise _unusable(home, error) from error


def down(home: Path, *, purge: bool = False) -> bool:
    """Stop both servers; with `purge`, delete their data, ports and passwords too.

    Returns:
        False when nothing ran.

    Raises:
        ServicesError: a server did not stop; no data is deleted then.
    """
    home = home.resolve()
    if not home.is_dir():
        return False
    try:
        with _alone(home) as lock:
            services = _known(home)
            # Without the registry file, running servers are found by their data.
            ran = _down(services or registry.create(home), lock, flush=not purge)
            if services is not None:
                registry.save(services.with_broker(None).with_database(None))
            if purge:
                _remove(home)
            return ran
    except OSError as error:
        raise _unusable(home, error) from error


def running(home: Path) -> Endpoints | None:
    """The addresses of both servers, None unless both run; reads only a few small files.

    Raises:
        ServicesError: the registry file cannot be read.
    """
    services = registry.load(home.resolve())
    if services is None or services.home != home.resolve() or rabbitmq.unfinished(services.home):
        return None
    both = processes.alive(services.postgres.process) and processes.alive(services.rabbitmq.process)
    return services.endpoints if both else None


def _up(services: Services, lock: int) -> Services:
    """Start the broker, which takes longest, and the database while the broker boots.

    Both servers are checked before one is started. If both run, no file is written.
    """
    broker = rabbitmq.Server(services.home, services.rabbitmq)
    database = postgres.Server(services.home, services.postgres, locks=[lock])
    first, second = services.rabbitmq.process, services.postgres.process
    database.require_port(second)
    if first is None or not processes.alive(first):
        first = broker.launch(lambda one: registry.save(services.with_broker(one)))
        services = services.with_broker(first)
    if second is None or not processes.alive(second):
        second = database.launch(lambda one: registry.save(services.with_database(one)))
        services = services.with_database(second)
    database.wait(second)
    broker.wait(first)
    return services


def _down(services: Services, lock: int, *, flush: bool) -> bool:
    """Stop both servers; the broker first, so that publishers notice."""
    broker, database = services.rabbitmq, services.postgres
    ran = False
    try:
        ran = rabbitmq.Server(services.home, broker).stop(broker.process, flush=flush)
    finally:
        if place.link(services.home).exists():
            server = postgres.Server(services.home, database, locks=[lock])
            ran = server.stop(database.process) or ran
    return ran


def _remove(home: Path) -> None:
    """Delete the servers' files.

    Directory and lock file stay: processes that wait for the lock must all use one file.
    """
    place.remove(home)
    rabbitmq.remove(home)
    (home / registry.FILE).unlink(missing_ok=True)


def _known(home: Path) -> Services | None:
    """The servers of this home.

    Raises:
        ServicesError: the directory is a copy of another home whose servers run.
    """
    services = registry.load(home)
    if services is None or services.home == home:
        return services
    theirs = (services.rabbitmq.process, services.postgres.process)
    if any(processes.alive(process) for process in theirs):
        msg = (
            f"{home} was copied or moved from {services.home} while its servers ran: stop them "
            f"(`statesys down --home {services.home}`, or kill the pids in {registry.FILE}), "
            f"or remove {home} to begin anew"
        )
        raise ServicesError(msg)
    return replace(services, home=home)


def _require_usable(home: Path) -> None:
    """Refuse a path that PostgreSQL or RabbitMQ cannot use, before either starts.

    Raises:
        ServicesError: the message says which rule the path breaks.
    """
    path = str(home)
    if not (path.isascii() and path.replace("\t", " ").isprintable()) or set(path) & _REFUSED:
        wrong = "has a character that is not plain ASCII, or a quote or line break"
    elif len(path.encode()) > _LONGEST_HOME:
        wrong = f"has more than {_LONGEST_HOME} bytes"
    else:
        return
    msg = f"the path {path!a} {wrong}, which the servers cannot use: choose another STATESYS_HOME"
    raise ServicesError(msg)


def _unusable(home: Path, error: OSError) -> ServicesError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        remedy = "Make room there"
    elif error.errno == errno.EROFS:
        remedy = "Choose another STATESYS_HOME"
    else:
        remedy = "If it was made by another user, run this as that user; else remove it"
    return ServicesError(f"{home} cannot be used: {error}. {remedy}")


@contextmanager
def _alone(home: Path) -> Iterator[int]:
    """Hold the home's lock file; the kernel releases it when the process dies."""
    # Mode 0600, because every process that can open the file can lock it, and keep us waiting.
    # Opened read-only: if both servers run already, this also works on a read-only disk.
    descriptor = os.open(home / _LOCK, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
