"""`statesys web-user`: who may log in to the viewer."""

from pathlib import Path

import click

from schemas.errors import SettingsError, StatesysError
from web.access.hashes import hash_password, hash_token, new_token
from web.access.people import Person, Role
from web.access.users import User, read_users, require_user_name, write_users

#: Characters of a password.
_SHORTEST, _LONGEST = 12, 256

_file = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The file that `statesys web --users` reads.",
)


@click.group("web-user")
def web_user() -> None:
    """Who may log in to the viewer. A running viewer follows the file."""


@web_user.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.VIEWER.value,
    show_default=True,
    help="A viewer may look; an operator may also act.",
)
@_file
@click.option("--token", is_flag=True, help="Make a token for a program, and print it once.")
def add(*, name: str, role: str, path: Path, token: bool) -> None:
    """Add a user, or give one another role and password; asks for the password.

    \b
    Example:
      statesys web-user add anna --role operator --file users
      statesys web-user add prometheus --token --file users
    """
    require_user_name(name)
    users = read_users(path) if path.exists() else {}
    if token:
        made = new_token()
        hashed = hash_token(made)
    else:
        made = ""
        hashed = hash_password(_password())
    users[name] = User(Person(name, Role(role)), hashed)
    write_users(path, users)
    if token:
        click.echo(made)
    click.echo(f"{name} is {'an operator' if role == Role.OPERATOR else 'a viewer'}", err=True)


@web_user.command()
@click.argument("name", metavar="NAME")
@_file
def remove(*, name: str, path: Path) -> None:
    """Remove a user.

    \b
    Example:
      statesys web-user remove anna --file users
    """
    users = read_users(path)
    if users.pop(name, None) is None:
        raise StatesysError(f"{path} has no user {name[:64]!r}")
    write_users(path, users)
    click.echo(f"{name} is removed", err=True)


def _password() -> str:
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not _SHORTEST <= len(password) <= _LONGEST:
        raise SettingsError(f"a password has {_SHORTEST} to {_LONGEST} characters")
    return password
