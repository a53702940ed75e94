"""Private RabbitMQ and PostgreSQL servers for one machine, with all their data in one directory.

`up` starts what does not run, `down` stops both, `running` only looks. The servers are the
distribution's own programs on ports of their own; they belong to no terminal and outlive the
process that started them. Linux only: who a process is, is read from /proc.

This package needs the standard library alone, so that `make clean` can stop servers whose
virtual environment is gone.
"""

from runtime.devserver.control import down, running, up
from runtime.devserver.errors import ServicesError
from runtime.devserver.registry import Endpoints

__all__ = ["Endpoints", "ServicesError", "down", "running", "up"]
