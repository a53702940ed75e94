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
    return _rabbitmq_server() or _refuse()


def postgresql_bin() -> Path:
    """The directory of initdb, pg_ctl and postgres; of several versions the newest.

    Raises:
        ServicesError: it is not installed.
    """
    return _postgresql_bin() or _refuse()


def _rabbitmq_server() -> Path | None:
    if _DEBIAN_RABBITMQ.exists():
        return _DEBIAN_RABBITMQ
    return _on_path("rabbitmq-server")


def _postgresql_bin() -> Path | None:
    installed = [initdb.parent for initdb in _DEBIAN_POSTGRESQL.glob("*/bin/initdb")]
    if installed:
        return max(installed, key=_version)
    initdb = _on_path("initdb")
    # Resolved: initdb on PATH may be a link, and the other programs are beside its target.
    return initdb and initdb.resolve().parent


def _version(directory: Path) -> tuple[int, ...]:
    parts = directory.parent.name.split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _on_path(program: str) -> Path | None:
    found = shutil.which(program)
    return Path(found) if found else None


def _refuse() -> Path:
    """Name every package that is missing, so that one installation is enough."""
    servers = {"rabbitmq-server": _rabbitmq_server, "postgresql": _postgresql_bin}
    packages = " ".join(package for package, find in servers.items() if find() is None)
    msg = (
        f"missing: {packages}; run `apt-get install {packages}` as root, or `make setup` in a "
        f"checkout, or set STATESYS_AMQP_URL and STATESYS_DATABASE_URL to servers that exist"
    )
    raise ServicesError(msg)
