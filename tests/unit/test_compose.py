"""compose.yaml against the Compose specification, the command line and the settings."""

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml

from runtime.settings import Settings
from tests.support.command_lines import require_command
from tests.support.paths import ROOT

COMPOSE = ROOT / "compose.yaml"
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "statesys"}
PREFIX = "STATESYS_"


def commands() -> dict[str, list[str]]:
    """Every `statesys` command line in the file, health checks included."""
    found = {name: service["command"] for name, service in OURS.items()}
    for name, service in OURS.items():
        if "healthcheck" in service:
            kind, program, *arguments = service["healthcheck"]["test"]
            assert (kind, program) == ("CMD", "statesys")
            found[f"{name} health"] = arguments
    return found


def test_it_follows_the_compose_specification() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run(
        [*check, "--output-format", "json", str(COMPOSE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["status"] == "ok"


@pytest.mark.parametrize("line", commands().values(), ids=commands().keys())
def test_every_command_is_one_of_ours(line: list[str]) -> None:
    require_command(line)


@pytest.mark.parametrize("service", OURS.values(), ids=OURS.keys())
def test_every_variable_is_a_setting(service: dict[str, Any]) -> None:
    settings = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    assert service["environment"].keys() <= settings


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_everything_that_lasts_lies_in_a_named_volume() -> None:
    named = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["volumes"].keys()
    mounted = [mount.split(":")[0] for s in SERVICES.values() for mount in s.get("volumes", [])]
    assert sorted(mounted) == sorted(named)


def test_the_build_of_the_image_may_read_all_that_it_copies() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:].rstrip("/") for line in ignored if line.startswith("!")}
    copied = set()
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from=" not in line:
            copied |= set(line.split()[1:-1])
    assert allowed == copied


def test_the_image_has_every_package_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = {line.split()[1] for line in lines if line.startswith("COPY ")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= copied
    assert "USER statesys" in lines
    assert 'ENTRYPOINT ["statesys"]' in lines
