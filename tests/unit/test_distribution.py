"""What `make dist` builds: every file of the packages, nothing else, always the same bytes."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from configparser import ConfigParser
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from tests.support.paths import OPERATIONS, ROOT

README = ROOT / "README.md"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
INSTALLED = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]


def build(directory: Path) -> tuple[Path, Path]:
    """The wheel and the sdist of this tree, with a fixed date, built without an installer."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(directory)]
    subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1767225600"},
        check=True,
        capture_output=True,
    )
    (wheel,), (sdist,) = directory.glob("*.whl"), directory.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(built: tuple[Path, Path]) -> ZipFile:
    return ZipFile(built[0])


def metadata(wheel: ZipFile, name: str) -> bytes:
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path)


def described(wheel: ZipFile) -> Message:
    return message_from_bytes(metadata(wheel, "METADATA"))


def sources() -> set[str]:
    """Every file of the packages, the console command included."""
    found = set()
    for name in INSTALLED:
        top = ROOT / name
        files = [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
        found |= {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    return found


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: ZipFile) -> None:
    files = {path for path in wheel.namelist() if ".dist-info/" not in path}
    assert files == sources()


def test_no_package_of_the_tree_is_forgotten() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    modules = {path.name for path in ROOT.glob("*.py")}
    assert set(INSTALLED) == (packages | modules) - {"tests"}


def test_the_sdist_holds_what_the_wheel_is_made_of_and_no_tests(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as sdist:
        files = {name.partition("/")[2] for name in sdist.getnames()}
    assert files >= sources() | {"pyproject.toml", "README.md", "CHANGELOG.md", "constraints.txt"}
    assert not [name for name in files if name.startswith(("tests", ".ci", ".statesys"))]


def test_two_builds_are_the_same_bytes(built: tuple[Path, Path], tmp_path: Path) -> None:
    for first, second in zip(built, build(tmp_path), strict=True):
        assert first.name == second.name
        assert first.read_bytes() == second.read_bytes()


def test_it_tells_its_version_what_it_needs_and_reads_as_the_readme(wheel: ZipFile) -> None:
    told = described(wheel)
    assert told["Version"] == PROJECT["project"]["version"]
    assert told["Requires-Python"] == PROJECT["project"]["requires-python"]
    assert set(told.get_all("Provides-Extra", [])) == {*PROJECT["project"]["optional-dependencies"]}
    assert told["Description-Content-Type"] == "text/markdown"
    assert "# statesys" in str(told.get_payload())


@pytest.mark.parametrize("page", [README, OPERATIONS], ids=lambda page: page.name)
def test_the_pages_install_this_wheel(page: Path, built: tuple[Path, Path]) -> None:
    named = set(re.findall(r"dist/(\S+?\.whl)", page.read_text(encoding="utf-8")))
    assert named == {built[0].name}


def test_it_installs_the_console_command(wheel: ZipFile) -> None:
    scripts = ConfigParser()
    scripts.read_string(metadata(wheel, "entry_points.txt").decode())
    assert dict(scripts["console_scripts"]) == {"statesys": "statesys:main"}
