"""A site as docs/operations.md sets it up: TLS only, and a user for each kind of worker."""

import os
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import trustme

from runtime.devserver import place, programs, registry
from runtime.devserver.place import for_postgres
from runtime.devserver.rabbitmq import Server
from tests.chaos.servers import Servers
from tests.support import commands
from tests.support.documented import blocks

RABBITMQ = "RabbitMQ users with the least rights"
POSTGRESQL = "PostgreSQL roles with the least rights"
#: Names of the servers and the certificate authority in the page.
BROKER, DATABASE, AUTHORITY = "rabbit.example:5671", "pg.example:5432", "/etc/ssl/site-ca.pem"
#: The fleet of the page.
FLEET = "north"
#: Seconds for a command or a block; some blocks start a dozen Erlang machines.
_PATIENCE = 240

_ADVANCED = """\
[{{rabbit, [{{ssl_listeners, [{{"127.0.0.1", {amqps}}}]}},
           {{ssl_options, [{{cacertfile, "{ca}"}}, {{certfile, "{cert}"}}, {{keyfile, "{key}"}},
                          {{verify, verify_peer}}, {{fail_if_no_peer_cert, false}}]}}]}},
 {{rabbitmq_management,
  [{{ssl_config, [{{ip, "127.0.0.1"}}, {{port, {https}}},
                 {{cacertfile, "{ca}"}}, {{certfile, "{cert}"}}, {{keyfile, "{key}"}}]}}]}}].
"""


@dataclass
class SecureSite:
    """The site; everything in one directory.

    Attributes:
        directory: of servers, password files, the fleet, and the log of command lines.
        ca: the authority of both servers; neither trusts `other`.
        told: all that commands wrote to stdout and stderr.
    """

    directory: Path
    ca: trustme.CA = field(default_factory=trustme.CA)
    other: trustme.CA = field(default_factory=trustme.CA)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Write certificates, start the servers, run the page's commands."""
        self.amqps, self.https = _free_ports(2)
        self.authority = self._write("ca.pem", self.ca.cert_pem.bytes())
        self.foreign_authority = self._write("other-ca.pem", self.other.cert_pem.bytes())
        self.certificate, self.key = self.issue("server", self.ca, "localhost")
        self._configure_broker()
        self.servers = Servers(self.directory / "home")
        try:
            self._configure_database()
            self._shims()
            self._set_up()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the servers and delete their data."""
        self.servers.close(purge=True)

    # -- addresses ---------------------------------------------------------------------------

    @property
    def database_port(self) -> int:
        """PostgreSQL's port, the same with TLS and without."""
        return int(urlsplit(self.servers.endpoints.database_url).port or 0)

    @property
    def plain_amqp_port(self) -> int:
        """RabbitMQ's port without TLS."""
        return int(urlsplit(self.servers.endpoints.amqp_url).port or 0)

    def password(self, name: str) -> str:
        """The password of a user or role."""
        return (self.directory / f"{name}.password").read_text(encoding="utf-8").strip()

    def amqp_url(self, user: str, *, host: str = "localhost", **files: Path) -> str:
        """The broker's URL for a user; `files` replaces the right authority."""
        query = "&".join(f"{k}={v}" for k, v in (files or {"cacertfile": self.authority}).items())
        name = f"statesys-{user}"
        return f"amqps://{name}:{self.password(name)}@{host}:{self.amqps}/statesys?{query}"

    def management_url(self, user: str, authority: Path | None = None) -> str:
        """The management API's URL for a user."""
        name = f"statesys-{user}"
        query = f"cacertfile={authority or self.authority}"
        return f"https://{name}:{self.password(name)}@localhost:{self.https}?{query}"

    def database_url(
        self, role: str, *, host: str = "localhost", authority: Path | None = None
    ) -> str:
        """The database's URL for a role."""
        name = f"statesys_{role}"
        query = f"sslmode=verify-full&sslrootcert={authority or self.authority}"
        secret = self.password(name)
        return f"postgresql://{name}:{secret}@{host}:{self.database_port}/statesys?{query}"

    def issue(self, name: str, ca: trustme.CA, *identities: str) -> tuple[Path, Path]:
        """Issue a certificate, and write it and its key to files."""
        made = ca.issue_cert(*identities)
        chain = b"".join(part.bytes() for part in made.cert_chain_pems)
        return self._write(f"{name}.pem", chain), self._write(
            f"{name}.key", made.private_key_pem.bytes()
        )

    # -- commands ----------------------------------------------------------------------------

    def environment(self, user: str | None = None, role: str | None = None) -> dict[str, str]:
        """The environment of a worker with a user of RabbitMQ and a role of PostgreSQL."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("STATESYS_", "PG"))}
        kept |= {
            "PATH": f"{self._bin}{os.pathsep}{os.environ['PATH']}",
            "STATESYS_HOME": str(self.directory / "workers"),
            "STATESYS_LOG_LEVEL": "debug",
            "NO_COLOR": "1",
        }
        if user is not None:
            kept["STATESYS_AMQP_URL"] = self.amqp_url(user)
        if role is not None:
            kept["STATESYS_DATABASE_URL"] = self.database_url(role)
        return kept

    def run(
        self, *arguments: object, user: str | None = None, role: str | None = None, **more: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a `statesys` command; it must never show a traceback.

        Args:
            arguments: of the command.
            user: of RabbitMQ.
            role: of PostgreSQL.
            more: further variables.
        """
        done = commands.run(
            *arguments,
            env=self.environment(user, role) | more,
            cwd=self.directory,
            timeout=_PATIENCE,
        )
        self.told += [done.stdout, done.stderr]
        return done

    def superuser(self, database: str = "postgres") -> psycopg.Connection:
        """Connect as PostgreSQL's superuser."""
        url = urlsplit(self.servers.endpoints.database_url)
        return psycopg.connect(url._replace(path=f"/{database}").geturl(), autocommit=True)

    def secrets(self) -> set[str]:
        """Every password of the site, and the broker's cookie."""
        kept = registry.load(self.directory / "home")
        assert kept is not None
        written = {path.read_text().strip() for path in self.directory.glob("*.password")}
        broker = kept.brokers[0]
        return written | {broker.password, broker.cookie, kept.postgres.password}

    @property
    def command_lines(self) -> str:
        """Every command line of the page's programs, including short-lived ones."""
        return (self.directory / "argv.log").read_text(encoding="utf-8")

    # -- setting up --------------------------------------------------------------------------

    @property
    def _bin(self) -> Path:
        return self.directory / "bin"

    def _write(self, name: str, content: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content)
        # libpq and PostgreSQL refuse a key that others can read.
        path.chmod(0o600)
        return path

    def _configure_broker(self) -> None:
        base = self.directory / "home" / "rabbitmq"
        base.mkdir(parents=True, mode=0o700)
        text = _ADVANCED.format(
            amqps=self.amqps,
            https=self.https,
            ca=self.authority,
            cert=self.certificate,
            key=self.key,
        )
        (base / "advanced.config").write_text(text, encoding="utf-8")

    def _configure_database(self) -> None:
        """Switch TLS on, and reject other connections to the database of the page."""
        data = place.link(self.directory / "home").resolve() / "data"
        for name, source in (("ca", self.authority), ("server", self.certificate)):
            (data / f"{name}.crt").write_bytes(source.read_bytes())
            for_postgres().own(data / f"{name}.crt")
        (data / "server.key").write_bytes(self.key.read_bytes())
        (data / "server.key").chmod(0o600)
        for_postgres().own(data / "server.key")
        rules = data / "pg_hba.conf"
        rules.write_text(
            "hostnossl statesys all all reject\n" + rules.read_text(encoding="utf-8"),
            encoding="utf-8",
        )
        with self.superuser() as connection:
            for setting, value in (("ssl_ca_file", "'ca.crt'"), ("ssl", "on")):
                connection.execute(f"ALTER SYSTEM SET {setting} = {value}".encode())
            # The log then reveals a password in a statement.
            connection.execute("ALTER SYSTEM SET log_statement = 'all'")
            connection.execute("SELECT pg_reload_conf()")
            # The page creates a database of this name itself.
            connection.execute("DROP DATABASE statesys")

    def _shims(self) -> None:
        """Wrap the page's programs in scripts that log their command lines."""
        kept = registry.load(self.directory / "home")
        assert kept is not None
        rabbitmq = programs.rabbitmq_server()
        variables = Server(kept.home, kept.brokers[0])._environment(rabbitmq)
        assignments = [f"{name}={value}" for name, value in variables.items()]
        self._bin.mkdir()
        for name, command in {
            "rabbitmqctl": ["env", "-i", *assignments, str(rabbitmq.with_name("rabbitmqctl"))],
            "psql": [str(programs.postgresql_bin() / "psql")],
            "statesys": [sys.executable, "-m", "statesys"],
        }.items():
            log = shlex.quote(str(self.directory / "argv.log"))
            (self._bin / name).write_text(
                f'#!/bin/sh\necho {name} "$@" >>{log}\nexec {shlex.join(command)} "$@"\n',
                encoding="utf-8",
            )
            (self._bin / name).chmod(0o755)

    def _set_up(self) -> None:
        users, queues, fleet = blocks(RABBITMQ, "sh")
        self.shell(users)
        self.shell(queues)
        self.shell(fleet)
        passwords, migration = blocks(POSTGRESQL, "sh")
        roles, grants = blocks(POSTGRESQL, "sql")
        self.shell(passwords)
        superuser = urlsplit(self.servers.endpoints.database_url)
        self._psql(roles, user=str(superuser.username), password=str(superuser.password))
        self.shell(migration)
        self._psql(
            grants,
            user="statesys_owner",
            password=self.password("statesys_owner"),
            database="statesys",
        )

    def shell(self, script: str) -> None:
        """Run a block of the page, with the addresses of this site."""
        for documented, ours in (
            (BROKER, f"localhost:{self.amqps}"),
            (DATABASE, f"localhost:{self.database_port}"),
            (AUTHORITY, str(self.authority)),
        ):
            script = script.replace(documented, ours)
        assert ".example" not in script
        done = self._call(["bash", "-euo", "pipefail", "-c", script], self.environment())
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"

    def _psql(self, text: str, *, user: str, password: str, database: str = "postgres") -> None:
        """Run a block in psql, with the password in the environment."""
        (self.directory / "block.sql").write_text(text, encoding="utf-8")
        options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=block.sql")
        tls = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(self.authority)}
        done = self._call(
            [
                *("psql", *options, "--host=localhost", f"--port={self.database_port}"),
                *(f"--username={user}", f"--dbname={database}"),
            ],
            self.environment() | tls | {"PGPASSWORD": password},
        )
        assert done.returncode == 0, done.stderr

    def _call(
        self, command: list[str], environment: dict[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            # By its full path, so that the wrapper logs the command line of psql.
            [str(self._bin / command[0]) if command[0] == "psql" else command[0], *command[1:]],
            env=environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
        self.told += [done.stdout, done.stderr]
        assert "Traceback" not in done.stderr, done.stderr
        return done


def _free_ports(count: int) -> list[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(server.getsockname()[1]) for server in servers]
    finally:
        for server in servers:
            server.close()
