"""Where PostgreSQL's files lie.

Normally in the home directory. As root they belong to the service user, and where that one
cannot reach the home (a clone below /root), they lie under /var/lib, and a symbolic link in the
home says where.
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


_ELSEWHERE = Path("/var/lib/statesys")


def link(home: Path) -> Path:
    """The name in the home: a directory, or a symbolic link to one."""
    return home / "postgres"


def prepare(home: Path, account: Account) -> Path:
    """Make the directory, if it is not there, and say where it really is.

    Raises:
        ServicesError: the user may not enter it.
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
    # Also what an `up` made that was ended before this line.
    account.own(place)
    if not account.reaches(place.resolve()):
        msg = (
            f"PostgreSQL's user may not enter {place.resolve()}: give every directory above it "
            f"the right to pass (chmod o+x), or use a home elsewhere"
        )
        raise ServicesError(msg)
    return place.resolve()


def elsewhere(home: Path) -> Path:
    """The directory of a home that the service user cannot reach; one per home."""
    return _ELSEWHERE / hashlib.sha256(str(home).encode()).hexdigest()[:12]


def orphan(home: Path) -> Path | None:
    """What lies elsewhere though this home knows nothing of it: the home was removed by hand."""
    left = elsewhere(home)
    return left if left.exists() and not link(home).exists() else None


def remove(home: Path) -> None:
    """Delete everything that `prepare` made for this home, and nothing else."""
    place = link(home)
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)
    # By its own name, not by what the link says: a copied home links to another home's data.
    if elsewhere(home).exists():
        shutil.rmtree(elsewhere(home))
        with suppress(OSError):  # other homes' data is in it
            _ELSEWHERE.rmdir()
