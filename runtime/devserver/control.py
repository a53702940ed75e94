"""All servers together: up, down, and whether they run."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from runtime.devserver import cluster, place, postgres, registry
from runtime.devserver.cluster import Cluster
from runtime.devserver.errors import ServicesError
from runtime.devserver.registry import Endpoints, Record, Services
from runtime.files import our_directory
from runtime.process_identity import alive

_LOCK = "services.lock"

# Bytes of the home's path. PostgreSQL allows 1,023 for the path of a file, and Erlang fewer than
# Linux; the longest path below the home has about 200.
_LONGEST_HOME = 700

# RabbitMQ does not start with a quote in the path, nor with letters beyond ASCII. RabbitMQ 4 takes
# brackets and backslashes for a pattern when it looks for its files, and does not start a second
# time. A line break would end a line of PostgreSQL's pid file.
_REFUSED = frozenset("'\"[]{}\\")


def up(home: Path, *, nodes: int | None = None) -> Endpoints:
    """Start the servers that do not run, and wait until all answer.

    Safe to call again, and from several processes at a time: one does the work, the others wait.
    A server that was started before an error stays recorded: the next `up` continues from there,
    and `down` stops it.

    Args:
        home: the directory of all data; made if it is missing.
        nodes: how many brokers; None for those that the data is of, or one.

    Raises:
        ServicesError: a server is not installed or does not come up, or cannot use this path; or
            the data is that of another number of brokers.
    """
    home = home.resolve()
    _require_usable(home)
    try:
        our_directory(home)
        with _alone(home) as lock:
            services = _known(home) or registry.create(home, nodes=nodes or 1)
            _require_number(services, nodes)
            return _up(services, lock)
    except OSError as error:
        raise _unusable(home, error) from error


def down(home: Path, *, purge: bool = False) -> bool:
    """Stop all servers; with `purge`, delete their data, ports and passwords too.

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
            found = services or registry.create(home, nodes=cluster.recorded_brokers(home))
            ran = _down(found, lock, flush=not purge)
            if services is not None:
                registry.save(services.stopped())
            if purge:
                _remove(home)
            return ran
    except OSError as error:
        raise _unusable(home, error) from error


def running(home: Path) -> Endpoints | None:
    """The addresses of all servers, None unless the database and a broker run.

    Reads only a few small files.

    Raises:
        ServicesError: the registry file cannot be read.
    """
    services = registry.load(home.resolve())
    if services is None or services.home != home.resolve() or cluster.unfinished(services.home):
        return None
    broker = any(alive(one.process) for one in services.brokers)
    return services.endpoints if broker and alive(services.postgres.process) else None


def _up(services: Services, lock: int) -> Endpoints:
    """Start the brokers, which take longest, and the database while they boot.

    All servers are checked before one is started. If all run, no file is written.
    """
    record = Record(services)
    brokers = Cluster(services.home, services.brokers, record.note_broker)
    database = postgres.Server(services.home, services.postgres, locks=[lock])
    process = services.postgres.process
    database.require_port(process)
    brokers.launch()
    if process is None or not alive(process):
        process = database.launch(record.note_database)
    database.wait(process)
    brokers.wait()
    return services.endpoints


def _down(services: Services, lock: int, *, flush: bool) -> bool:
    """Stop all servers; the brokers first, so that publishers notice."""
    ran = False
    try:
        ran = Cluster(services.home, services.brokers).stop(flush=flush)
    finally:
        if place.link(services.home).exists():
            server = postgres.Server(services.home, services.postgres, locks=[lock])
            ran = server.stop(services.postgres.process) or ran
    return ran


def _require_number(services: Services, nodes: int | None) -> None:
    """Refuse another number of brokers than the data is of: queues keep their members."""
    there = len(services.brokers)
    if nodes is not None and nodes != there:
        msg = (
            f"the data in {services.home} is that of {there} broker{'s' * (there > 1)}, not "
            f"{nodes}: leave --nodes out to start what is there, or delete the data first "
            f"(`statesys down --purge --home {services.home}`)"
        )
        raise ServicesError(msg)


def _remove(home: Path) -> None:
    """Delete the servers' files.

    Directory and lock file stay: processes that wait for the lock must all use one file.
    """
    place.remove(home)
    cluster.remove(home)
    (home / registry.FILE).unlink(missing_ok=True)


def _known(home: Path) -> Services | None:
    """The servers of this home.

    Raises:
        ServicesError: the directory is a copy of another home whose servers run.
    """
    services = registry.load(home)
    if services is None or services.home == home:
        return services
    theirs = [services.postgres.process, *(one.process for one in services.brokers)]
    if any(map(alive, theirs)):
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
        wrong = (
            "has a character that is not plain ASCII, or a quote, bracket, backslash or line break"
        )
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
