"""The directory of PostgreSQL's files.

Normally it is in the home directory. For root it belongs to the service user; if that user cannot
reach the home (a clone below /root), it is under /var/lib, and a symbolic link in the home points
to it.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from runtime.devserver.errors import ServicesError
from runtime.files import directory

# Debian's package creates it, and nearly every other distribution's.
_SERVICE_USER = "postgres"


class Identity(TypedDict, total=False):
    """The arguments of `subprocess` that run a child as another user; empty for our own."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user to run as; `uid` None means our own user."""

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

        A child process tries it, because modes do not show everything (access lists, mounts).
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
    """The account for PostgreSQL: our own, or the service user's when we are root.

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


_ELSEWHERE = Path("/var/lib/statesys")


def link(home: Path) -> Path:
    """PostgreSQL's path in the home: a directory, or a symbolic link to one."""
    return home / "postgres"


def prepare(home: Path, account: Account) -> Path:
    """Make the directory if it is missing, and return its real path.

    Raises:
        ServicesError: the user may not enter the directory.
    """
    place = link(home)
    if not place.exists():
        place.unlink(missing_ok=True)  # a link whose target is gone
        if account.reaches(home):
            directory(place)
        else:
            directory(_ELSEWHERE, mode=0o755)
            directory(elsewhere(home))
            place.symlink_to(elsewhere(home))
    # In any case: an earlier `up` may have ended before this line.
    account.own(place)
    if not account.reaches(place.resolve()):
        msg = (
            f"PostgreSQL's user may not enter {place.resolve()}: give every directory above it "
            f"the right to pass (chmod o+x), or use a home elsewhere"
        )
        raise ServicesError(msg)
    return place.resolve()


def elsewhere(home: Path) -> Path:
    """The directory for a home that the service user cannot reach; one per home."""
    return _ELSEWHERE / hashlib.sha256(str(home).encode()).hexdigest()[:12]


def orphan(home: Path) -> Path | None:
    """The directory elsewhere, if the home has no link to it: the home was removed by hand."""
    left = elsewhere(home)
    return left if left.exists() and not link(home).exists() else None


def remove(home: Path) -> None:
    """Delete everything that `prepare` made for this home, and nothing else."""
    place = link(home)
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)
    # The path comes from the home's name: in a copied home the link points to another home's data.
    if elsewhere(home).exists():
        shutil.rmtree(elsewhere(home))
        with suppress(OSError):  # other homes' data is in it
            _ELSEWHERE.rmdir()
