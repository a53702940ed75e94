"""The system user that PostgreSQL runs as, because it refuses to run as root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from runtime.devserver.errors import ServicesError

# Debian's package creates it, and nearly every other distribution's.
_SERVICE_USER = "postgres"


class Identity(TypedDict, total=False):
    """The arguments of `subprocess` that make a child another user; none for oneself."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user to run as; `uid` None is whoever we are."""

    uid: int | None = None
    gid: int | None = None

    @property
    def identity(self) -> Identity:
        """For `subprocess.run(**account.identity)`."""
        if self.uid is None or self.gid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give a file or directory to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def reaches(self, directory: Path) -> bool:
        """Whether this user may pass through a directory and all above it.

        Asked of the system, because modes alone do not tell (access lists, mounts).
        """
        asked = subprocess.run(
            ["/bin/sh", "-c", 'cd "$0"', str(directory)],
            cwd="/",
            stderr=subprocess.DEVNULL,
            check=False,
            **self.identity,
        )
        return asked.returncode == 0


def for_postgres() -> Account:
    """Ourselves, or the service user when we are root.

    Raises:
        ServicesError: we are root and there is no such user.
    """
    if os.geteuid() != 0:
        return Account()
    try:
        entry = pwd.getpwnam(_SERVICE_USER)
    except KeyError:
        msg = (
            f"PostgreSQL refuses to run as root, and there is no user {_SERVICE_USER!r} to run it "
            f"as: run this command as an ordinary user, or create that one"
        )
        raise ServicesError(msg) from None
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)
