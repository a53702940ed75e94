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
from runtime.devserver.processes import Process
from runtime.files import sync, write_private


class Endpoints(NamedTuple):
    """The three addresses, user and password included."""

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
    """The broker; `process` is None while it does not run."""

    amqp_port: int
    management_port: int
    distribution_port: int
    epmd_port: int
    password: str
    cookie: str
    process: Process | None = None


@dataclass(frozen=True, kw_only=True)
class Services:
    """Both servers of one home directory (absolute, resolved)."""

    home: Path
    postgres: Postgres
    rabbitmq: Rabbitmq

    @property
    def endpoints(self) -> Endpoints:
        """The addresses of both servers while they run."""
        broker, database = self.rabbitmq, self.postgres
        return Endpoints(
            amqp_url=f"amqp://{NAME}:{broker.password}@{ports.HOST}:{broker.amqp_port}/%2F",
            database_url=f"postgresql://{NAME}:{database.password}@{ports.HOST}:{database.port}/{NAME}",
            management_url=f"http://{NAME}:{broker.password}@{ports.HOST}:{broker.management_port}",
        )

    def with_broker(self, process: Process | None) -> "Services":
        """The same, with another process of the broker."""
        return replace(self, rabbitmq=replace(self.rabbitmq, process=process))

    def with_database(self, process: Process | None) -> "Services":
        """The same, with another process of the database."""
        return replace(self, postgres=replace(self.postgres, process=process))


def create(home: Path) -> Services:
    """New servers, with free ports and random passwords."""
    postgres, amqp, management, distribution, epmd = ports.choose(5)
    return Services(
        home=home,
        postgres=Postgres(port=postgres, password=secrets.token_hex(16)),
        rabbitmq=Rabbitmq(
            amqp_port=amqp,
            management_port=management,
            distribution_port=distribution,
            epmd_port=epmd,
            password=secrets.token_hex(16),
            cookie=secrets.token_hex(16),
        ),
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
            rabbitmq=Rabbitmq(**_with_process(kept["rabbitmq"])),
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
    kept = asdict(services) | {
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


def _with_process(kept: dict[str, Any]) -> dict[str, Any]:
    process = kept["process"]
    return kept | {"process": None if process is None else Process(**process)}
