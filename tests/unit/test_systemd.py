"""deploy/systemd against systemd's own checker, the command line and the manner of the workers."""

import shutil
import subprocess
from pathlib import Path

import pytest

from runtime.workers import signals
from tests.support.command_lines import require_command
from tests.support.paths import ROOT

UNITS = ROOT / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
INSTALLED = Path("/opt/statesys/bin/statesys")
analyze = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(analyze is None, reason="systemd-analyze is not installed")


def instance(unit: Path) -> str:
    """The name of a unit to load; a template's is that of its first instance."""
    return unit.name.replace("@.", "@1.")


def values(unit: Path, name: str) -> list[str]:
    """All values of a directive."""
    lines = unit.read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root directory with our units, a program to start, and systemd's own units."""
    root = tmp_path_factory.mktemp("system")
    shutil.copytree(UNITS, root / "etc" / "systemd" / "system")
    shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
    (root / "lib").symlink_to("usr/lib")
    program = root / INSTALLED.relative_to("/")
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    return root


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert analyze is not None
    return subprocess.run([analyze, *arguments], capture_output=True, text=True, check=False)


@needs_systemd
def test_systemd_finds_no_mistake_in_the_units(system: Path) -> None:
    units = [instance(unit) for unit in [*SERVICES, *UNITS.glob("*.timer")]]
    checked = run("verify", f"--root={system}", *units)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_is_hardly_exposed(system: Path, unit: Path) -> None:
    # 15 tenths; the worst is 100, and systemd calls less than 20 well protected.
    arguments = ("security", "--offline=true", "--no-pager", f"--root={system}", "--threshold=15")
    checked = run(*arguments, instance(unit))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_runs_one_of_our_commands_with_its_settings_in_a_file(unit: Path) -> None:
    (line,) = values(unit, "ExecStart")
    program, *rest = line.split()
    assert program == str(INSTALLED)
    require_command(rest)
    (settings,) = values(unit, "EnvironmentFile")
    assert settings.startswith("/etc/statesys/")


def test_a_worker_ends_itself_before_systemd_ends_it() -> None:
    (limit,) = values(UNITS / "statesys-.service.d" / "10-statesys.conf", "TimeoutStopSec")
    assert int(limit) > signals._END_WITHIN
