"""Three private brokers as one cluster: started, stopped, killed and started again."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pika
import pytest
from click.testing import CliRunner
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from runtime import devserver
from runtime.devserver import ServicesError, cli, cluster, processes, registry
from runtime.devserver.rabbitmq import Server
from runtime.process_identity import alive
from tests.support.brokers import rabbitmqctl
from tests.support.management import Management
from tests.support.promises import promise
from tests.support.waiting import wait_until

# Seconds. Some starts of three Erlang machines on a busy computer.
pytestmark = pytest.mark.timeout(400)

NODES = 3

_UP = (
    "import sys, pathlib; from runtime import devserver; "
    "devserver.up(pathlib.Path(sys.argv[1]), nodes=3)"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for this module, whose first start was killed when the second node began."""
    home = tmp_path_factory.mktemp("services") / "home"
    with subprocess.Popen([sys.executable, "-c", _UP, str(home)]) as run:
        joining = home / "rabbitmq-2" / "data"
        wait_until(joining.exists, timeout=120, what="the second node to begin its database")
        run.send_signal(signal.SIGKILL)
    yield home
    devserver.down(home, purge=True)


def kept(home: Path) -> registry.Services:
    found = registry.load(home)
    assert found is not None
    return found


def kill(home: Path, number: int) -> None:
    process = kept(home).brokers[number - 1].process
    assert process is not None
    processes.kill(process)
    wait_until(lambda: not alive(process), what="its end")


@contextmanager
def channel(home: Path, number: int) -> Iterator[BlockingChannel]:
    """A channel to one node."""
    node = kept(home).brokers[number - 1]
    url = f"amqp://{registry.NAME}:{node.password}@127.0.0.1:{node.amqp_port}/%2F"
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        yield connection.channel()


def require_message(home: Path, number: int) -> None:
    """Check that one node gives the message; it goes back at the end of the channel."""

    def given() -> bool:
        # While the queue has no leader, RabbitMQ closes the connection with an internal error.
        with suppress(AMQPError), channel(home, number) as reader:
            return bool(reader.basic_get("kept")[2] == b"42")
        return False

    wait_until(given, timeout=60, what="the message")


def management(home: Path, number: int) -> Management:
    """The management API of one node."""
    node = kept(home).brokers[number - 1]
    account = f"{registry.NAME}:{node.password}"
    return Management(f"http://{account}@127.0.0.1:{node.management_port}")


def test_a_first_start_that_was_killed_is_begun_anew_as_one_cluster(home: Path) -> None:
    assert devserver.running(home) is None
    endpoints = devserver.up(home)
    assert endpoints == devserver.running(home)
    for number in range(1, NODES + 1):
        found = management(home, number).call("GET", "nodes")
        assert sum(node["running"] for node in found) == NODES


def test_the_addresses_name_every_node(home: Path) -> None:
    endpoints = devserver.up(home)
    for url, ports in (
        (endpoints.amqp_url, [node.amqp_port for node in kept(home).brokers]),
        (endpoints.management_url, [node.management_port for node in kept(home).brokers]),
    ):
        hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
        assert hosts == [f"127.0.0.1:{port}" for port in ports]


def test_a_quorum_queue_has_a_member_on_every_node_and_outlives_one(home: Path) -> None:
    devserver.up(home)
    with channel(home, 1) as writer:
        writer.confirm_delivery()
        writer.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
        writer.basic_publish("", "kept", b"42", mandatory=True)
    queue = management(home, 1).call("GET", "queues", "/", "kept")
    assert len(queue["members"]) == NODES

    # Its leader is on the node of the connection that declared it.
    kill(home, 1)

    # The commands find the others.
    assert devserver.running(home) is not None
    require_message(home, 2)


def test_up_starts_the_node_that_is_missing(home: Path) -> None:
    devserver.up(home)
    kill(home, 1)
    others = kept(home).brokers[1:]
    devserver.up(home)
    assert kept(home).brokers[1:] == others
    require_message(home, 1)


def test_all_start_again_after_down(home: Path) -> None:
    endpoints = devserver.up(home)
    before = kept(home)
    assert devserver.down(home)
    assert not any(alive(node.process) for node in before.brokers)
    assert devserver.running(home) is None
    assert devserver.up(home) == endpoints
    require_message(home, 3)


def test_up_restarts_a_node_that_runs_without_its_application(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devserver.up(home)
    rabbitmqctl(kept(home), "stop_app", node=2)
    monkeypatch.setattr(cluster, "_HUNG", 2)
    before = kept(home).brokers
    devserver.up(home)
    require_message(home, 2)
    assert [one == two for one, two in zip(before, kept(home).brokers, strict=True)] == [
        True,
        False,
        True,
    ]


def test_another_number_of_brokers_is_refused(home: Path) -> None:
    devserver.up(home)
    with pytest.raises(ServicesError) as told:
        devserver.up(home, nodes=1)
    assert promise("up", "the data is of another number of brokers").holds_in(str(told.value))


def test_brokers_that_are_not_written_down_are_stopped_and_purged(home: Path) -> None:
    devserver.up(home)
    before = kept(home)
    (home / registry.FILE).unlink()
    assert devserver.down(home, purge=True)
    for node in before.brokers:
        assert Server(home, node).process(None) is None
    assert {path.name for path in home.iterdir()} == {"services.lock"}


def test_a_file_from_before_there_were_clusters_is_read(tmp_path: Path) -> None:
    made = registry.create(tmp_path)
    registry.save(made)
    path = tmp_path / registry.FILE
    written = json.loads(path.read_text(encoding="utf-8"))
    (written["rabbitmq"],) = written.pop("brokers")
    del written["rabbitmq"]["number"]
    path.write_text(json.dumps(written), encoding="utf-8")
    assert registry.load(tmp_path) == made


def test_an_even_number_of_brokers_is_not_offered(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.up, ["--home", str(tmp_path), "--nodes", "2"])
    assert done.exit_code == 2
    assert "'1', '3'" in done.output
