"""The record of the private servers between two commands: `services.json`.

Ports and passwords are chosen once and kept for as long as the data; processes change. The file
has the passwords, and only its owner can read it.
"""

import json
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from runtime.devserver import ports
from runtime.devserver.errors import ServicesError
from runtime.files import sync, write_private
from runtime.process_identity import Process


class Endpoints(NamedTuple):
    """The three addresses, user and password included.

    Those of a cluster name every node's host and port, separated by commas.
    """

    amqp_url: str
    database_url: str
    management_url: str


FILE = "services.json"

# The user of both servers and the name of the database.
NAME = "statesys"


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """The database server; `process` is None while it does not run."""

    port: int
    password: str
    process: Process | None = None


@dataclass(frozen=True, kw_only=True)
class Rabbitmq:
    """One broker, alone or a node of a cluster; `process` is None while it does not run.

    Attributes:
        number: from 1; the first node's data lies where the data of a single broker lies.
        epmd_port: of the port mapper, which all nodes share; so are password and cookie.
    """

    amqp_port: int
    management_port: int
    distribution_port: int
    epmd_port: int
    password: str
    cookie: str
    process: Process | None = None
    number: int = 1


@dataclass(frozen=True, kw_only=True)
class Services:
    """The servers of one home directory (absolute, resolved): one database, one or more brokers."""

    home: Path
    postgres: Postgres
    brokers: tuple[Rabbitmq, ...]

    @property
    def endpoints(self) -> Endpoints:
        """The addresses of all servers while they run."""
        database, account = self.postgres, f"{NAME}:{self.brokers[0].password}"
        amqp = ",".join(f"{ports.HOST}:{node.amqp_port}" for node in self.brokers)
        management = ",".join(f"{ports.HOST}:{node.management_port}" for node in self.brokers)
        return Endpoints(
            amqp_url=f"amqp://{account}@{amqp}/%2F",
            database_url=f"postgresql://{NAME}:{database.password}@{ports.HOST}:{database.port}/{NAME}",
            management_url=f"http://{account}@{management}",
        )

    def with_broker(self, number: int, process: Process | None) -> "Services":
        """The same, with another process of one broker."""
        brokers = tuple(
            replace(node, process=process) if node.number == number else node
            for node in self.brokers
        )
        return replace(self, brokers=brokers)

    def with_database(self, process: Process | None) -> "Services":
        """The same, with another process of the database."""
        return replace(self, postgres=replace(self.postgres, process=process))

    def stopped(self) -> "Services":
        """The same, without processes."""
        brokers = tuple(replace(node, process=None) for node in self.brokers)
        return replace(self.with_database(None), brokers=brokers)


class Record:
    """The servers, written to the file at each change.

    Attributes:
        services: as they are now.
    """

    def __init__(self, services: Services) -> None:
        self.services = services

    def note_broker(self, number: int, process: Process) -> None:
        """Write down a broker's new process."""
        self._keep(self.services.with_broker(number, process))

    def note_database(self, process: Process) -> None:
        """Write down the database's new process."""
        self._keep(self.services.with_database(process))

    def _keep(self, services: Services) -> None:
        save(services)
        self.services = services


def create(home: Path, *, nodes: int = 1) -> Services:
    """New servers, with free ports and random passwords.

    Args:
        home: their directory.
        nodes: how many brokers, which form a cluster if there are several.
    """
    postgres, epmd, *others = ports.choose(2 + 3 * nodes)
    password, cookie = secrets.token_hex(16), secrets.token_hex(16)
    brokers = tuple(
        Rabbitmq(
            amqp_port=others.pop(),
            management_port=others.pop(),
            distribution_port=others.pop(),
            epmd_port=epmd,
            password=password,
            cookie=cookie,
            number=number,
        )
        for number in range(1, nodes + 1)
    )
    return Services(
        home=home,
        postgres=Postgres(port=postgres, password=secrets.token_hex(16)),
        brokers=brokers,
    )


def load(home: Path) -> Services | None:
    """Read what `save` wrote; None when there is no file.

    Raises:
        ServicesError: the file is not readable, or belongs to another user.
    """
    path = home / FILE
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Services(
            home=Path(kept["home"]),
            postgres=Postgres(**_with_process(kept["postgres"])),
            brokers=tuple(Rabbitmq(**_with_process(one)) for one in _brokers(kept)),
        )
    except FileNotFoundError:
        return None
    except PermissionError as error:
        msg = f"{path} belongs to another user: run this command as that user"
        raise ServicesError(msg) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} cannot be read ({error}): stop the servers by hand and remove {home}"
        raise ServicesError(msg) from error


def save(services: Services) -> None:
    """Write the file, completely or not at all; only its owner can read it."""
    path = services.home / FILE
    kept: dict[str, Any] = asdict(services) | {
        "home": str(services.home),
        # For people and other programs; `load` ignores them.
        "endpoints": services.endpoints._asdict(),
    }
    unfinished = path.with_suffix(".new")
    write_private(unfinished, json.dumps(kept, indent=2) + "\n")
    # Data without its password is lost, so this file must be as durable as the data.
    sync(unfinished)
    unfinished.replace(path)
    sync(services.home)


def _brokers(kept: dict[str, Any]) -> list[dict[str, Any]]:
    """The brokers' entries; a file from before there were clusters has one, under `rabbitmq`."""
    return kept["brokers"] if "brokers" in kept else [kept["rabbitmq"]]


def _with_process(kept: dict[str, Any]) -> dict[str, Any]:
    process = kept["process"]
    return kept | {"process": None if process is None else Process(**process)}
