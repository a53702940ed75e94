"""Private RabbitMQ and PostgreSQL servers for one machine, with all their data in one directory.

`up` starts the servers that do not run, `down` stops both, `running` only reads their state. The
servers are the distribution's own programs on ports of their own. They have no terminal, and keep
running after the process that started them. Linux only: processes are identified through /proc.

This package imports only the standard library, so that `make clean` can stop servers whose
virtual environment is gone.
"""

from runtime.devserver.control import down, running, up
from runtime.devserver.errors import ServicesError
from runtime.devserver.registry import Endpoints

__all__ = ["Endpoints", "ServicesError", "down", "running", "up"]
