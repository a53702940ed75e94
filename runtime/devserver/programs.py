"""Find the programs of the servers."""

import shutil
from pathlib import Path

from runtime.devserver.errors import ServicesError

# Debian's servers are not on PATH. Its /usr/sbin/rabbitmq-server requires root or the service
# user; the script that it calls runs as any user.
_DEBIAN_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_DEBIAN_POSTGRESQL = Path("/usr/lib/postgresql")


def rabbitmq_server() -> Path:
    """RabbitMQ's start script.

    Raises:
        ServicesError: it is not installed.
    """
    if _DEBIAN_RABBITMQ.exists():
        return _DEBIAN_RABBITMQ
    return _on_path("rabbitmq-server", package="rabbitmq-server")


def postgresql_bin() -> Path:
    """The directory of initdb, pg_ctl and postgres; of several versions the newest.

    Raises:
        ServicesError: it is not installed.
    """
    installed = [initdb.parent for initdb in _DEBIAN_POSTGRESQL.glob("*/bin/initdb")]
    if installed:
        return max(installed, key=_version)
    # Resolved: initdb on PATH may be a link, and the other programs are beside its target.
    return _on_path("initdb", package="postgresql").resolve().parent


def _version(directory: Path) -> tuple[int, ...]:
    parts = directory.parent.name.split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _on_path(program: str, *, package: str) -> Path:
    found = shutil.which(program)
    if found is None:
        msg = (
            f"{program} is not installed: run `make setup`, or install the package {package}; "
            f"or point STATESYS_AMQP_URL and STATESYS_DATABASE_URL to servers that exist"
        )
        raise ServicesError(msg)
    return Path(found)
