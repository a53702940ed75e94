"""Several hosts in one URL of the broker or its management API."""

import pytest
from pika import PlainCredentials

from runtime.broker.connecting import parameters
from runtime.broker.hosts import addresses
from runtime.broker.management import require_usable, virtual_host
from runtime.in_force import mask
from schemas.errors import SettingsError

SECRET = "MaRk3r,zz9q"


def test_each_host_has_its_own_port_or_the_schemes() -> None:
    for scheme, port in (("amqp", 5672), ("amqps", 5671)):
        found = parameters(f"{scheme}://u:{SECRET}@a,B:5673,[::1],[fe80::1]:7/x%2Fy", "test")
        assert [(one.host, one.port) for one in found] == [
            ("a", port),
            ("b", 5673),
            ("::1", port),
            ("fe80::1", 7),
        ]
        assert {one.virtual_host for one in found} == {"x/y"}
        assert [one.credentials for one in found] == [PlainCredentials("u", SECRET)] * 4
        assert {one.ssl_options is not None for one in found} == {scheme == "amqps"}


def test_parameters_are_for_all_hosts() -> None:
    found = parameters("amqp://u:p@a,b/x?heartbeat=7", "test")
    assert [one.heartbeat for one in found] == [7, 7]


def test_a_url_with_one_host_stays_as_it_is() -> None:
    for url in ("amqp://u:p,w@a:1/x?heartbeat=7", "amqp:///", "http://u:p@[::1]:15672"):
        assert addresses(url) == [url]


def test_the_virtual_host_is_read_behind_any_hosts() -> None:
    assert virtual_host("amqp://u:p@a:1,[::1],c/x%2Fy") == "x/y"


@pytest.mark.parametrize(
    ("hosts", "reason"),
    [
        ("a,,b", "without a host"),
        (",a", "without a host"),
        ("a,", "without a host"),
        (",", "without a host"),
        (":1,a", "without a host"),
        ("a,a", "named twice"),
        ("a,A:{port}", "named twice"),
        ("a:1,b,a:01", "named twice"),
        ("[::1],[::1]:{port}", "named twice"),
        ("a:1:2,b", "none"),
        ("a:99999,b", "a port is none"),
        ("a:0,b", "a port is none"),
        ("[::1,b", "none"),
        ("a,[::1]x", "none"),
        ("a..b,c", "none"),
        ("a, b", "must be encoded"),
    ],
)
def test_hosts_that_cannot_be_meant_are_refused_without_the_password(
    hosts: str, reason: str
) -> None:
    named = hosts.format(port=5672)
    with pytest.raises(SettingsError, match=reason) as error:
        parameters(f"amqp://user:{SECRET}@{named}/x", "test")
    assert SECRET not in str(error.value)
    if "must" not in reason and ".." not in hosts:
        with pytest.raises(SettingsError, match=reason) as error:
            require_usable(f"http://user:{SECRET}@{hosts.format(port=80)}")
        assert SECRET not in str(error.value)


def test_the_settings_show_the_hosts_and_no_password() -> None:
    shown = mask(f"amqp://user:{SECRET}@a:1,[::1],b/x?heartbeat=3")
    assert shown.endswith("@a:1,[::1],b/x?...")
    assert SECRET not in shown
