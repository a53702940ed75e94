"""Which of an installation's plugins a private broker gets."""

from pathlib import Path

import pytest

from runtime.devserver.rabbitmq_plugins import link_plugins


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """An installation, and a link to its start script, as distributions have it."""
    needs = {
        "rabbit-3.10.8": "[kernel,rabbit_common,rabbitmq_prelaunch]",
        "rabbit_common-3.10.8": "[kernel]",
        "rabbitmq_prelaunch-3.10.8": "[kernel,\n  'rabbit_common']",
        "rabbitmq_management-3.10.8": "[rabbit,cowboy,rabbitmq_web_dispatch]",
        "rabbitmq_web_dispatch-3.10.8": "[rabbitmq_management_agent,rabbitmq_management]",
        "rabbitmq_management_agent-3.10.8": "[]",
        "rabbitmq_mqtt-3.10.8": "[rabbit]",
        "cowboy-2.8.0": "[]",
    }
    there = tmp_path / "rabbitmq_server-3.10.8"
    for name, applications in needs.items():
        (there / "plugins" / name / "ebin").mkdir(parents=True)
        application = name.partition("-")[0]
        (there / "plugins" / name / "ebin" / f"{application}.app").write_text(
            f"{{application, '{application}', [{{applications, {applications}}}]}}.",
            encoding="utf-8",
        )
    (there / "plugins" / "rabbitmq_archived-1.0.ez").touch()
    (there / "plugins" / "README").touch()
    (there / "sbin").mkdir()
    (there / "sbin" / "rabbitmq-server").touch()
    found = tmp_path / "rabbitmq-server"
    found.symlink_to(there / "sbin" / "rabbitmq-server")
    return found


def plugins_of(directory: Path) -> set[str]:
    return {path.name.partition("-")[0] for path in directory.iterdir()} - {"README"}


def test_it_gets_what_is_enabled_and_all_that_this_needs(script: Path, tmp_path: Path) -> None:
    into = tmp_path / "plugins"
    assert link_plugins(script, into, enabled=["rabbitmq_management"])
    assert plugins_of(into) == {
        "rabbit",
        "rabbit_common",
        "rabbitmq_prelaunch",
        "rabbitmq_management",
        "rabbitmq_web_dispatch",
        "rabbitmq_management_agent",
        "cowboy",
    }
    assert (into / "rabbit-3.10.8" / "ebin" / "rabbit.app").is_file()


def test_an_archive_is_linked_where_it_is_enabled(script: Path, tmp_path: Path) -> None:
    into = tmp_path / "plugins"
    assert link_plugins(script, into, enabled=["rabbitmq_archived"])
    assert "rabbitmq_archived" in plugins_of(into)


def test_links_of_an_older_installation_go(script: Path, tmp_path: Path) -> None:
    into = tmp_path / "plugins"
    assert link_plugins(script, into, enabled=["rabbitmq_mqtt"])
    (script.resolve().parent.parent / "plugins" / "cowboy-2.8.0").rename(
        script.resolve().parent.parent / "plugins" / "cowboy-2.12.0"
    )
    assert link_plugins(script, into, enabled=[])
    assert "rabbitmq_mqtt" not in plugins_of(into)
    assert [path.name for path in into.glob("cowboy-*")] == ["cowboy-2.12.0"]


def test_an_installation_of_another_shape_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    assert not link_plugins(tmp_path / "bin" / "rabbitmq-server", tmp_path / "plugins", enabled=[])
    assert not (tmp_path / "plugins").exists()
