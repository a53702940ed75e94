"""The private servers, for real: started, stopped, killed and started again."""

import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pika
import psycopg
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from runtime import devserver
from runtime.command import with_private_servers
from runtime.devserver import (
    Endpoints,
    ServicesError,
    cli,
    place,
    ports,
    programs,
    registry,
)
from runtime.devserver.place import for_postgres
from runtime.files import directory, our_directory, write_private
from runtime.process_identity import alive, identify
from runtime.settings import Settings
from schemas.errors import StatesysError
from tests.chaos.disk import why_none
from tests.support.promises import promise
from tests.support.waiting import wait_until

# Seconds. Three starts and stops of an Erlang machine on a busy computer.
pytestmark = pytest.mark.timeout(240)

SOMEWHERE = Endpoints(
    amqp_url="amqp://u:p@127.0.0.1:1/%2F",
    database_url="postgresql://u:it's@127.0.0.1:2/d",
    management_url="http://u:p@127.0.0.1:3",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for this module. Every test calls `up`, which costs nothing if the servers run."""
    home = tmp_path_factory.mktemp("services") / "a `id` $HOME\t100 %s *;&"
    yield home
    devserver.down(home, purge=True)


def kept(home: Path) -> registry.Services:
    found = registry.load(home)
    assert found is not None
    return found


def test_two_ups_at_a_time_start_one_pair_of_servers(home: Path) -> None:
    together = threading.Barrier(2)

    def up() -> Endpoints:
        together.wait()
        return devserver.up(home)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(up), pool.submit(up)
    assert first.result() == second.result() == devserver.running(home)


def test_up_again_changes_nothing(home: Path) -> None:
    devserver.up(home)
    before = kept(home)
    devserver.up(home)
    assert kept(home) == before


def test_both_servers_take_connections_with_their_passwords(home: Path) -> None:
    endpoints = devserver.up(home)
    with psycopg.connect(endpoints.database_url) as connection:
        durability = connection.execute(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit'),"
            " current_setting('server_encoding')"
        )
        assert durability.fetchone() == ("on", "on", "UTF8")
    pika.BlockingConnection(pika.URLParameters(endpoints.amqp_url)).close()


def test_they_serve_commands_that_have_no_urls(home: Path) -> None:
    endpoints = devserver.up(home)
    unset = Settings(home=home, amqp_url=None, database_url=None, management_url=None)
    found = with_private_servers(unset)
    assert found.required_amqp_url() == endpoints.amqp_url
    assert found.required_database_url() == endpoints.database_url
    assert found.optional_management_url() == endpoints.management_url


def test_another_broker_is_not_asked_at_the_private_management_api(home: Path) -> None:
    endpoints = devserver.up(home)
    url = SecretStr("amqp://u:p@elsewhere/")
    given = Settings(home=home, amqp_url=url, database_url=None, management_url=None)
    found = with_private_servers(given)
    assert found.required_amqp_url() == "amqp://u:p@elsewhere/"
    assert found.required_database_url() == endpoints.database_url
    assert found.optional_management_url() is None


def test_nobody_gets_in_without_a_password(home: Path) -> None:
    database = devserver.up(home).database_url.replace(kept(home).postgres.password, "guess")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(database)


def test_they_listen_on_this_machine_only(home: Path) -> None:
    devserver.up(home)
    broker, database = kept(home).brokers[0], kept(home).postgres
    listening = {
        broker.amqp_port,
        broker.management_port,
        broker.distribution_port,
        broker.epmd_port,
        database.port,
    }
    # Addresses as the kernel writes them: 127.0.0.1 and, for epmd, ::1.
    loopback = {"0100007F", "00000000000000000000000001000000"}
    found: dict[int, set[str]] = {}
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, port = local.split(":")
            if state == "0A" and int(port, 16) in listening:
                found.setdefault(int(port, 16), set()).add(address)
    assert found.keys() == listening
    assert set().union(*found.values()) <= loopback


def test_only_their_owner_can_read_the_passwords(home: Path) -> None:
    devserver.up(home)
    secret = [home / registry.FILE, home / "rabbitmq"]
    assert [stat.S_IMODE(path.stat().st_mode) & 0o077 for path in secret] == [0, 0]


def test_down_and_up_keep_addresses_and_data(home: Path) -> None:
    endpoints = devserver.up(home)
    with psycopg.connect(endpoints.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    broker = pika.BlockingConnection(pika.URLParameters(endpoints.amqp_url))
    broker.channel().queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
    broker.close()

    assert devserver.down(home)
    assert devserver.running(home) is None
    assert not devserver.down(home)
    assert devserver.up(home) == endpoints

    with psycopg.connect(endpoints.database_url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    broker = pika.BlockingConnection(pika.URLParameters(endpoints.amqp_url))
    broker.channel().queue_declare("kept", passive=True)
    broker.close()


def test_down_leaves_no_process_behind(home: Path) -> None:
    devserver.up(home)
    before = kept(home)
    devserver.down(home)
    assert not alive(before.postgres.process)
    assert not alive(before.brokers[0].process)
    assert ports.free(before.brokers[0].epmd_port)


def test_a_killed_server_is_noticed_and_started_again(home: Path) -> None:
    endpoints = devserver.up(home)
    broker = kept(home).brokers[0].process
    assert broker is not None
    os.kill(broker.pid, signal.SIGKILL)
    wait_until(lambda: devserver.running(home) is None, what="the killed broker to be missed")
    assert devserver.up(home) == devserver.running(home) == endpoints


def test_a_copied_home_does_not_take_the_servers_of_the_first(home: Path, tmp_path: Path) -> None:
    devserver.up(home)
    (tmp_path / registry.FILE).write_bytes((home / registry.FILE).read_bytes())
    assert devserver.running(tmp_path) is None
    with pytest.raises(ServicesError, match="copied or moved"):
        devserver.up(tmp_path)


def test_purge_deletes_their_data_and_nothing_else(home: Path) -> None:
    devserver.up(home)
    (home / "fleet").mkdir()
    data = (home / "postgres").resolve()
    with (home / "rabbitmq" / "log" / "statesys@localhost.log").open(encoding="utf-8") as log:
        log.seek(0, os.SEEK_END)
        assert devserver.down(home, purge=True)
        # A purge kills RabbitMQ without a shutdown, since it deletes the data anyway.
        assert "shutting down" not in log.read()
    assert not data.exists()
    assert {path.name for path in home.iterdir()} == {"fleet", "services.lock"}


def test_nothing_runs_in_a_home_that_is_not_there(tmp_path: Path) -> None:
    assert devserver.running(tmp_path / "nowhere") is None
    assert not devserver.down(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_missing_servers_are_named_together_with_the_line_that_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "_DEBIAN_RABBITMQ", tmp_path / "none")
    monkeypatch.setattr(programs, "_DEBIAN_POSTGRESQL", tmp_path / "none")
    for find in (programs.rabbitmq_server, programs.postgresql_bin):
        with pytest.raises(StatesysError, match="install rabbitmq-server postgresql`") as told:
            find()
        assert promise("up", "a server is not installed").holds_in(str(told.value))
    (tmp_path / "rabbitmq-server").touch(mode=0o755)
    with pytest.raises(StatesysError, match="install postgresql`"):
        programs.postgresql_bin()


def test_the_newest_postgresql_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("9.6", "15", "17"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "initdb").touch()
    monkeypatch.setattr(programs, "_DEBIAN_POSTGRESQL", tmp_path)
    assert programs.postgresql_bin() == tmp_path / "17" / "bin"


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_rights_do_not_depend_on_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    # When tests run as root, PostgreSQL's user cannot reach a home below a private directory.
    monkeypatch.setattr(place, "_ELSEWHERE", Path(f"/var/tmp/statesys-test-{os.getpid()}"))
    tmp_path.chmod(0o700)
    account = for_postgres()
    try:
        with umask(mask):
            made = place.prepare(tmp_path, account)
            write_private(tmp_path / "secret", "s")
            directory(tmp_path / "base")
        with umask(mask & 0o077):  # the owner must be able to enter "above"
            our_directory(tmp_path / "above" / "home")
        assert account.reaches(made)
        rights = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("secret", "base")]
        assert rights == [0o600, 0o700]
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        for name in ("above", "above/home"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) in (0o755, 0o700)
    finally:
        place.remove(tmp_path)


def test_a_place_that_was_made_and_not_given_away_is_mended() -> None:
    # Outside pytest's own directory, which only its user may enter.
    with TemporaryDirectory(prefix="statesys-test-") as found:
        home = Path(found)
        home.chmod(0o755)
        directory(place.link(home))
        assert for_postgres().reaches(place.prepare(home, for_postgres()))


@pytest.mark.parametrize(
    "name",
    [
        "two\nlines",
        "\x1b",
        "\udce9",
        "日本",
        "'",
        '"',
        "[a]",
        "{a,b}",
        "a\\b",
        "/".join(["n" * 200] * 4),
    ],
)
def test_a_path_that_a_server_cannot_use_is_refused_before_anything_is_made(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(ServicesError) as told:
        devserver.up(tmp_path / name)
    assert promise("up", "the servers cannot use the path").holds_in(str(told.value))
    assert not list(tmp_path.iterdir())


def test_a_taken_port_is_named_with_its_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_LETTING_GO", 0)
    with socket.create_server((ports.HOST, 0)) as somebody:
        port = somebody.getsockname()[1]
        with pytest.raises(ServicesError, match=f"{port}.*AMQP.*taken") as told:
            ports.require_free(port, purpose="AMQP")
        assert promise("up", "a port of theirs is taken").holds_in(str(told.value))


def test_a_port_that_is_taken_is_told_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "_LETTING_GO", 0)
    made = registry.create(tmp_path)
    registry.save(made)
    broker = made.brokers[0]
    for port in (made.postgres.port, broker.amqp_port, broker.epmd_port):
        with (
            socket.create_server((ports.HOST, port)),
            pytest.raises(ServicesError, match=f"{port}.*taken"),
        ):
            devserver.up(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"services.json", "services.lock"}


def test_a_pid_that_was_given_away_is_not_the_same_process() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert alive(me)
    assert not alive(replace(me, started=me.started + 1))
    assert not alive(replace(me, boot="another"))


def test_a_broken_registry_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / registry.FILE).write_text("{}", encoding="utf-8")
    with pytest.raises(ServicesError, match="remove"):
        devserver.running(tmp_path)


def test_up_prints_three_lines_that_a_shell_can_evaluate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devserver, "up", lambda _home, **_nodes: SOMEWHERE)
    done = CliRunner().invoke(cli.up, catch_exceptions=False)
    assigned = dict(shlex.split(line)[0].split("=", 1) for line in done.stdout.splitlines())
    assert assigned == {
        "STATESYS_AMQP_URL": SOMEWHERE.amqp_url,
        "STATESYS_DATABASE_URL": SOMEWHERE.database_url,
        "STATESYS_MANAGEMENT_URL": SOMEWHERE.management_url,
    }
    assert "http://127.0.0.1:3/" in done.stderr


def test_down_tells_whether_anything_ran(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.down, ["--home", str(tmp_path)], catch_exceptions=False)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "nothing was running\n")


#: $0 is the program, $1 a directory. The mounts disappear when the shell ends.
_ON_OTHER_DISKS = """
up() { echo "== $1"; "$PYTHON" -m statesys up --home "$DISK/$1" 2>&1; echo "code $?"; }
(ulimit -n 256; up files)
mount -t tmpfs -o size=64k,mode=0755 full "$DISK"
head --bytes=64k /dev/zero >"$DISK/rest"; up full
mount -t tmpfs -o ro,mode=0755 read-only "$DISK"; up read-only
mount -t tmpfs -o size=700m,mode=0755 small "$DISK"; up small
head --bytes=700M /dev/zero >"$DISK/rest" 2>/dev/null; up small
"$PYTHON" -m statesys down --purge --home "$DISK/small"
"""


def test_disks_and_limits_that_will_not_do_are_told_and_what_runs_needs_none(
    tmp_path: Path,
) -> None:
    if why := why_none(tmp_path):
        pytest.skip(why)
    done = subprocess.run(
        ["unshare", "--mount", "/bin/sh", "-c", _ON_OTHER_DISKS],
        env=os.environ | {"PYTHON": sys.executable, "DISK": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    _, files, full, read_only, small, running = done.stdout.split("== ")
    for told, when in (
        (full, "the disk has no room to begin"),
        (read_only, "the home is on a read-only file system"),
        (files, "too few files may be open"),
    ):
        line = promise("up", when)
        assert line.holds_in(told), told
        assert f"code {line.code}" in told
    assert "less than 1 GB free" in small
    assert "code 0" in small
    assert "code 0" in running, running
