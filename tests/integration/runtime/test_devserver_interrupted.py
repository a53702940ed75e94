"""The next command finds what an `up` left that failed or died, at whatever moment."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pika
import psycopg
import pytest

from runtime import devserver
from runtime.devserver import ServicesError, processes, rabbitmq, registry
from runtime.devserver.place import Account
from runtime.process_identity import Process, alive
from tests.support.waiting import wait_until

# Seconds. Some starts and stops of an Erlang machine on a busy computer.
pytestmark = pytest.mark.timeout(240)

_UP = "import sys, pathlib; from runtime import devserver; devserver.up(pathlib.Path(sys.argv[1]))"


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home that several tests use one after the other; each test creates what it needs."""
    home = tmp_path_factory.mktemp("services") / "home"
    yield home
    devserver.down(home, purge=True)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    yield home
    devserver.down(home, purge=True)
    await_none_left_behind(home)


def left_behind(home: Path) -> list[str]:
    """Command lines of processes that were started for this home or work in it."""
    place = (home / "postgres").resolve()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_bytes()
            about = (directory / "environ").read_bytes() + command
            where = (directory / "cwd").readlink()
        except OSError:
            continue
        ours = os.fsencode(home) in about or where.is_relative_to(place)
        if ours and int(directory.name) != os.getpid():
            found.append(os.fsdecode(command).replace("\0", " "))
    return found


def await_none_left_behind(home: Path) -> None:
    """Wait for the end of all: Erlang's helper ends a moment after Erlang."""
    wait_until(lambda: not left_behind(home), what=f"the end of {left_behind(home)}")


def catches(pid: int, one: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (one - 1) & 1)


def kept(home: Path) -> registry.Services:
    found = registry.load(home)
    assert found is not None
    return found


def put_data(home: Path) -> None:
    endpoints = devserver.up(home)
    with psycopg.connect(endpoints.database_url) as database:
        database.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    connection = pika.BlockingConnection(pika.URLParameters(endpoints.amqp_url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_purge("kept")
    channel.basic_publish("", "kept", b"42", mandatory=True)
    connection.close()


def require_data(home: Path) -> None:
    endpoints = devserver.up(home)
    with psycopg.connect(endpoints.database_url) as database:
        assert database.execute("SELECT answer FROM kept").fetchone() == (42,)
    connection = pika.BlockingConnection(pika.URLParameters(endpoints.amqp_url))
    assert connection.channel().basic_get("kept")[2] == b"42"
    connection.close()


def up_until(home: Path, moment: Callable[[], object], end: signal.Signals) -> bool:
    """Run `up` as a process and end it at a moment; False: it was done before it could be ended."""
    with subprocess.Popen([sys.executable, "-c", _UP, str(home)], stderr=subprocess.PIPE) as run:
        wait_until(lambda: moment() or run.poll() is not None, timeout=60, what="the moment")
        run.send_signal(end)
        ended = run.wait()
        assert ended in (-end, 0)
        return ended != 0


def test_down_after_an_up_that_failed_stops_the_broker_in_order(home: Path) -> None:
    home.mkdir()
    # The broker has just been launched when PostgreSQL finds no room for its data.
    (home / "postgres").touch()
    with pytest.raises(ServicesError, match="PostgreSQL"):
        devserver.up(home)
    broker = kept(home).brokers[0].process
    assert broker is not None
    # When Erlang has just started, SIGTERM does not end it, but keeps RabbitMQ from starting.
    wait_until(lambda: catches(broker.pid, signal.SIGTERM), what="Erlang")
    assert devserver.down(home)
    await_none_left_behind(home)
    assert not devserver.down(home)
    (home / "postgres").unlink()


def test_an_up_that_dies_at_any_moment_leaves_nothing_that_down_does_not_find(home: Path) -> None:
    def database(name: str) -> Path:
        return (home / "postgres").resolve() / name

    for moment, end in (
        ((home / registry.FILE).exists, signal.SIGKILL),
        (lambda: database("data.new/PG_VERSION").exists(), signal.SIGKILL),
        (lambda: database("data.new/PG_VERSION").exists(), signal.SIGINT),
        (lambda: database("data/postmaster.pid").exists(), signal.SIGKILL),
    ):
        while not up_until(home, moment, end):
            devserver.down(home, purge=True)
        devserver.down(home, purge=True)
        await_none_left_behind(home)
        assert [path.name for path in home.iterdir()] == ["services.lock"]


def test_a_first_start_that_was_cut_off_is_begun_anew(lasting: Path) -> None:
    data = lasting / "rabbitmq" / "data"
    with ThreadPoolExecutor(1) as pool:
        up = pool.submit(devserver.up, lasting)
        wait_until(data.exists, timeout=60, what="the broker to begin its database")
        # It may already have a virtual host but no user, and would never add one.
        broker = kept(lasting).brokers[0]
        assert broker.process is not None
        processes.kill(broker.process)
        with pytest.raises(ServicesError, match="RabbitMQ did not come up"):
            up.result()
    # Erlang's port mapper still runs, but is not the broker.
    assert not rabbitmq.Server(lasting, broker).stop(None)
    (data / "left").touch()
    assert devserver.running(lasting) is None
    assert devserver.up(lasting) == devserver.running(lasting)
    assert not (data / "left").exists()


def test_down_in_the_boot_of_a_broker_with_data_keeps_the_data(lasting: Path) -> None:
    put_data(lasting)
    devserver.down(lasting)
    assert up_until(lasting, (lasting / "rabbitmq" / "pid").exists, signal.SIGKILL)
    assert devserver.down(lasting)
    await_none_left_behind(lasting)
    require_data(lasting)


def test_servers_that_are_not_written_down_are_stopped_in_order(lasting: Path) -> None:
    put_data(lasting)
    known = kept(lasting)
    (lasting / registry.FILE).unlink()
    assert devserver.down(lasting)
    await_none_left_behind(lasting)
    registry.save(known)
    require_data(lasting)


def test_a_program_that_could_not_be_written_down_is_never_started(tmp_path: Path) -> None:
    waiting: list[Process] = []

    def fail(process: Process) -> None:
        waiting.append(process)
        assert alive(process)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        processes.spawn(
            ["touch", str(tmp_path / "started")],
            account=Account(),
            env=os.environ,
            cwd=tmp_path,
            output=tmp_path / "log",
            write_down=fail,
        )
    wait_until(lambda: not alive(waiting[0]), what="its end")
    assert not (tmp_path / "started").exists()


def test_a_pid_file_that_names_another_program_by_now_ends_nobody(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "rabbitmq").mkdir()
    with subprocess.Popen(["sleep", "60"], cwd="/") as another:
        for name in ("postgres/data/postmaster.pid", "rabbitmq/pid"):
            (tmp_path / name).write_text(f"{another.pid}\n")
        assert not devserver.down(tmp_path)
        assert another.poll() is None
        another.kill()
