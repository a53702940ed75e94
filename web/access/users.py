"""The file of users: one line for each, `name role hash`."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from runtime.files import write_private
from schemas.errors import SettingsError
from web.access.hashes import is_hash
from web.access.people import Person, Role

#: HTTP's Basic authentication has no colon in a name, and a line of the file no space.
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
#: Bytes of a file; ten thousand users fit.
_LARGEST = 2 * 1024 * 1024


class User(NamedTuple):
    """A line of the file."""

    person: Person
    hashed: str


def require_user_name(name: str) -> None:
    """Check a name.

    Raises:
        SettingsError: it cannot be a name.
    """
    if _NAME.fullmatch(name) is None:
        raise SettingsError(
            f"{name[:64]!r} cannot be a user's name: letters, digits, . _ @ and -, at most 64"
        )


def read_users(path: Path) -> dict[str, User]:
    """Read the file.

    Raises:
        SettingsError: it is not there, other users of the machine can read it, or a line is wrong.
            The message holds nothing of a hash.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SettingsError(
                    f"others can read or change {path}, which holds hashes of passwords: "
                    f"chmod 600 {path}"
                )
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise SettingsError(
            f"cannot read the users in {path}: {error.strerror}; `statesys web-user add` makes it"
        ) from None
    if len(text) > _LARGEST:
        raise SettingsError(f"{path} is too large for a file of users")
    users: dict[str, User] = {}
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            user = _user(line, f"line {number} of {path}")
            if users.setdefault(user.person.name, user) is not user:
                raise SettingsError(f"line {number} of {path} names a user again")
    return users


def write_users(path: Path, users: Mapping[str, User]) -> None:
    """Write the file anew, for its owner only; readers see the old one or the new one.

    Raises:
        SettingsError: it cannot be written.
    """
    lines = [f"{u.person.name} {u.person.role} {u.hashed}\n" for u in users.values()]
    new = path.with_name(f".{path.name}.new")
    try:
        write_private(new, "".join(lines))
        new.replace(path)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}") from None


def _user(line: str, where: str) -> User:
    words = line.split()
    try:
        name, role, hashed = words
        person = Person(name, Role(role))
    except ValueError:
        raise SettingsError(
            f"{where}: write it as NAME viewer HASH or NAME operator HASH, as `statesys web-user "
            "add` does"
        ) from None
    require_user_name(name)
    if not is_hash(hashed):
        raise SettingsError(f"{where}: the third word is no hash that `statesys web-user` makes")
    return User(person, hashed)


class Users:
    """The users of a file, which is read again when it changes.

    Args:
        path: of the file.

    Raises:
        SettingsError: the file cannot be used, at the start or now.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[object, dict[str, User]] = (None, {})
        self.current()

    def current(self) -> dict[str, User]:
        """The users by name."""
        try:
            found = self.path.stat()
        except OSError:
            # Reading says what is wrong with it.
            return read_users(self.path)
        version = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)
        if version != self._read[0]:
            self._read = (version, read_users(self.path))
        return self._read[1]
