"""Who may see the viewer: hosts, logins, proxies, TLS, and starts that would leave it open."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import trustme

from tests.support.commands import run
from tests.support.guarded import PASSWORD, TOKEN, Guarded, basic, guarded, make_users
from tests.support.waiting import wait_until
from web.access.hashes import hash_password
from web.access.users import read_users, write_users


@pytest.fixture(scope="module")
def open_viewer(empty_site: dict[str, str]) -> Iterator[Guarded]:
    """A viewer without logins."""
    with guarded(empty_site) as found:
        yield found


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_users(tmp_path_factory.mktemp("users") / "users")


@pytest.fixture(scope="module")
def viewer(empty_site: dict[str, str], users: Path) -> Iterator[Guarded]:
    """A viewer with logins."""
    with guarded(empty_site, "--users", users, "--host-name", "viewer.test") as found:
        yield found
        assert PASSWORD not in found.text
        assert TOKEN not in found.text
        assert "wrong password" not in found.text


# -- hosts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "", "[::2]", "a@b", "[::1]evil", "[::1"),
        *("localhost:evil", "localhost:80@evil", "localhost:", "localhost/evil", "localhost.."),
    ],
)
def test_a_page_of_another_name_cannot_read_the_viewer(open_viewer: Guarded, host: str) -> None:
    answer = open_viewer.get("/clients", Host=host)
    assert answer.status == 421
    assert "--host-name" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:8080", "[::1]:8080"])
def test_the_machine_itself_reads_it(open_viewer: Guarded, host: str) -> None:
    assert open_viewer.get("/clients", Host=host).status == 200


def test_a_name_that_is_given_is_known(viewer: Guarded) -> None:
    login = basic("vera")
    assert viewer.get("/clients", Host="viewer.test:8443", Authorization=login).status == 200
    assert viewer.get("/clients", Host="other.test", Authorization=login).status == 421


# -- logins ----------------------------------------------------------------------------------


WRONG = (
    *(None, "", "Basic", "Basic !!!!", "Basic dmVyYQ==", "Bearer ", "Digest a", "Bearer x"),
    *(basic("vera", "wrong password"), basic("nobody"), basic("", ""), basic("prometheus")),
    "Basic " + "A" * 2000,
)


@pytest.mark.parametrize(
    ("path", "given"),
    [
        *(("/clients", given) for given in WRONG),
        *((path, None) for path in ("/static/style.css", "/audit.csv", "/openapi.json", "/none")),
    ],
)
def test_nobody_comes_in_without_the_right_password(
    viewer: Guarded, path: str, given: str | None
) -> None:
    answer = viewer.get(path, Authorization=given)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith('Basic realm="statesys"')


def test_people_come_in_by_password_and_programs_by_token(viewer: Guarded) -> None:
    for login in (
        *(basic("vera"), basic("otto"), f"Bearer {TOKEN}", f"bearer {TOKEN}"),
        basic("prometheus", TOKEN),
    ):
        assert viewer.get("/clients", Authorization=login).status == 200


def test_a_viewer_follows_the_file(empty_site: dict[str, str], tmp_path: Path) -> None:
    users = make_users(tmp_path / "users")
    with guarded(empty_site, "--users", users) as viewer:
        assert viewer.get("/clients", Authorization=basic("vera")).status == 200
        changed = read_users(users)
        otto = changed.pop("otto")
        changed["vera"] = changed["vera"]._replace(hashed=hash_password("another password"))
        write_users(users, changed)
        assert viewer.get("/clients", Authorization=basic("vera")).status == 401
        assert viewer.get("/clients", Authorization=basic("otto")).status == 401
        again = basic("vera", "another password")
        assert viewer.get("/clients", Authorization=again).status == 200
        wait_until(lambda: viewer.text.count("web.login_refused") == 2, what="the log to say so")
        users.chmod(0o640)
        refused = viewer.get("/clients", Authorization=again)
        assert refused.status == 503
        assert str(users) not in refused.text
        wait_until(lambda: "chmod 600" in viewer.text, what="the log to say why")
        assert otto.hashed not in viewer.text


def test_many_attempts_of_one_address_do_not_lock_out_who_is_in(
    empty_site: dict[str, str], tmp_path: Path
) -> None:
    with guarded(empty_site, "--users", make_users(tmp_path / "users")) as viewer:
        assert viewer.get("/clients", Authorization=basic("vera")).status == 200
        found: list[int] = []

        def guess(number: int) -> None:
            login = basic("otto", f"guess {number}")
            found.append(viewer.get("/clients", Authorization=login).status)

        threads = [threading.Thread(target=guess, args=[number]) for number in range(20)]
        for thread in threads:
            thread.start()
        assert viewer.get("/clients", Authorization=basic("vera")).status == 200
        for thread in threads:
            thread.join()
        assert set(found) == {401, 429}


# -- proxies ---------------------------------------------------------------------------------


def test_a_header_names_a_person_only_from_the_proxy(empty_site: dict[str, str]) -> None:
    flags = ("--proxy-user-header", "X-Forwarded-User", "--operators", "otto", "--trusted-proxy")
    with guarded(empty_site, *flags, "127.0.0.1") as viewer:
        # A client may write what it likes there.
        elsewhere = {"X_Forwarded_For": "10.0.0.1"}
        assert viewer.get("/clients").status == 401
        assert viewer.get("/clients", X_Forwarded_User="vera", **elsewhere).status == 200
        assert viewer.get("/clients", X_Forwarded_User="").status == 403
        assert viewer.get("/actions", X_Forwarded_User="vera").status == 403
        assert viewer.get("/actions", X_Forwarded_User="otto").status == 200
    with guarded(empty_site, *flags, "127.0.0.2") as viewer:
        refused = viewer.get("/clients", X_Forwarded_User="otto", X_Forwarded_For="127.0.0.2")
        assert refused.status == 403
        assert viewer.get("/clients").status == 401


# -- TLS -------------------------------------------------------------------------------------


def test_others_see_it_by_tls_with_a_login(
    empty_site: dict[str, str], tmp_path: Path, users: Path
) -> None:
    ca = trustme.CA()
    made = ca.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "viewer.pem", tmp_path / "viewer.key"
    certificate.write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    context = ssl.create_default_context()
    ca.configure_trust(context)
    flags = ("--users", users, "--tls-certificate", certificate, "--tls-key", key)
    with guarded(empty_site, *flags, tls=context) as viewer:
        assert viewer.get("/clients").status == 401
        assert viewer.get("/clients", Authorization=basic("vera")).status == 200
        viewer.headers = {"Authorization": basic("otto")}
        # A form works over TLS too: its origin has another scheme.
        form = viewer.form(f"/actions/quarantine?client={uuid4()}")
        foreign = viewer.origin.replace("https", "http")
        assert viewer.post("/actions/resync", form, Origin=foreign).status == 403
        assert viewer.post("/actions/resync", form).status == 422
        with socket.create_connection(viewer.address, timeout=40) as silent:
            assert viewer.get("/clients").status == 200
            # It never begins TLS, and is given up.
            assert silent.recv(1) == b""
        with pytest.raises(ssl.SSLCertVerificationError):
            Guarded(viewer.started, ssl.create_default_context()).get("/clients")


# -- starts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--listen", "0.0.0.0:0"), "people have to log in"),
        (("--listen", "[::]:0"), "people have to log in"),
        (("--listen", "0.0.0.0:0", "--allow-actions"), "people have to log in"),
        (("--behind-proxy",), "people have to log in"),
        (("--listen", "0.0.0.0:0", "--behind-proxy"), "people have to log in"),
        (("--listen", "0.0.0.0:0", "--users", "{users}"), "--tls-certificate and --tls-key, or"),
        (("--users", "{users}", "--allow-actions"), "--allow-actions is for a viewer without"),
        (("--users", "{users}.none"), "web-user add"),
        (("--users", "{open}"), "chmod 600"),
        (("--users", "{wrong}"), "line 1 of"),
        (("--tls-certificate", "{wrong}"), "give both or neither"),
        (("--tls-certificate", "{wrong}", "--tls-key", "{wrong}"), "cannot be used"),
        (("--proxy-user-header", "X-User"), "needs --trusted-proxy"),
        (("--operators", "otto"), "belong to --proxy-user-header"),
        (("--trusted-proxy", "proxy"), "no IP address"),
    ],
)
def test_a_start_that_is_open_to_others_is_refused(
    empty_site: dict[str, str], tmp_path: Path, users: Path, flags: tuple[str, ...], told: str
) -> None:
    opened, wrong = make_users(tmp_path / "open"), tmp_path / "wrong"
    opened.chmod(0o644)
    wrong.write_text("otto king secret-hash\n")
    wrong.chmod(0o600)
    given = [flag.format(users=users, open=opened, wrong=wrong) for flag in flags]
    listen = [] if "--listen" in given else ["--listen", "127.0.0.1:0"]
    done = run("web", *listen, *given, env=empty_site)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "secret-hash" not in done.stderr


def test_variables_say_the_same_as_flags(empty_site: dict[str, str], users: Path) -> None:
    given = {"STATESYS_WEB_USERS": str(users), "STATESYS_WEB_ALLOW_ACTIONS": "1"}
    done = run("web", "--listen", "127.0.0.1:0", env={**empty_site, **given})
    assert done.returncode == 2
    assert "--allow-actions is for" in done.stderr
