"""The file of users, the hashes in it, and the command that makes it."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemas.errors import SettingsError
from web.access.hashes import hash_password, hash_token, is_hash, verify
from web.access.people import Role
from web.access.users import Users, read_users
from web.access.users_cli import web_user

SECRET = "a long password"


def call(*arguments: str, given: str = f"{SECRET}\n{SECRET}\n") -> Result:
    return CliRunner().invoke(web_user, arguments, input=given)


def test_a_hash_is_one_of_its_password_alone() -> None:
    hashed = hash_password(SECRET)
    assert is_hash(hashed)
    assert verify(SECRET, hashed)
    assert not verify(SECRET + " ", hashed)
    assert hash_password(SECRET) != hashed
    assert SECRET not in hashed


@pytest.mark.parametrize(
    "text",
    [
        *("", SECRET, "sha256:", "sha256:" + "A" * 64, "md5:00", "scrypt:1:8:1:AA==:AA=="),
        *("scrypt:3:8:1:AA==:AA==", "scrypt:1048576:8:9:AA==:AA==", "scrypt:16384:0:1:AA==:AA=="),
    ],
)
def test_what_cannot_be_verified_is_no_hash(text: str) -> None:
    assert not is_hash(text)


def test_a_user_gets_a_password_and_a_role_and_nobody_else_reads_the_file(tmp_path: Path) -> None:
    file = tmp_path / "users"
    done = call("add", "anna", "--role", "operator", "--file", str(file))
    assert done.exit_code == 0, done.output
    assert SECRET not in done.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (user,) = read_users(file).values()
    assert user.person == ("anna", Role.OPERATOR)
    assert verify(SECRET, user.hashed)


def test_a_token_is_printed_once_and_stored_as_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "users"
    call("add", "anna", "--file", str(file))
    done = call("add", "prometheus", "--token", "--file", str(file))
    token = done.stdout.strip()
    assert token.startswith("statesys_")
    assert token not in file.read_text()
    users = read_users(file)
    assert users["prometheus"].hashed == hash_token(token)
    assert list(users) == ["anna", "prometheus"]


def test_a_user_is_changed_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "users"
    call("add", "anna", "--file", str(file))
    call("add", "anna", "--file", str(file), "--role", "operator")
    assert read_users(file)["anna"].person.may_act
    assert call("remove", "anna", "--file", str(file)).exit_code == 0
    assert read_users(file) == {}
    assert call("remove", "anna", "--file", str(file)).exit_code != 0


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\n", "ä", "x" * 65])
def test_a_name_that_http_cannot_carry_is_refused(tmp_path: Path, name: str) -> None:
    done = call("add", name, "--file", str(tmp_path / "users"))
    assert isinstance(done.exception, SettingsError)


def test_a_short_password_is_refused(tmp_path: Path) -> None:
    done = call("add", "anna", "--file", str(tmp_path / "users"), given="short\nshort\n")
    assert isinstance(done.exception, SettingsError)
    assert not (tmp_path / "users").exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("anna", "write it as NAME"),
        ("anna king sha256:00", "write it as NAME"),
        ("anna viewer secret", "no hash"),
        ("a:b viewer sha256:" + "0" * 64, "cannot be a user's name"),
        ("{good}\n{good}", "names a user again"),
    ],
)
def test_a_wrong_line_is_told_without_its_hash(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "users"
    good = f"anna viewer {hash_token('a')}"
    file.write_text("# people\n\n" + line.format(good=good))
    file.chmod(0o600)
    with pytest.raises(SettingsError, match=told) as error:
        Users(file)
    assert "secret" not in str(error.value)
    assert "sha256:0" not in str(error.value)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602, 0o660])
def test_a_file_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "users"
    call("add", "anna", "--file", str(file))
    file.chmod(mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        Users(file)
    done = call("add", "otto", "--file", str(file))
    assert isinstance(done.exception, SettingsError)
