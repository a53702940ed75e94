"""The wheel runs the whole pipeline outside the checkout: `python -m tests.proofs.installed`.

Builds wheel and sdist twice and compares the bytes, installs the wheel into a new environment, and
runs its commands from a directory that has nothing of the checkout. Dependencies come from the
package index, so this is no part of `make test`.
"""

import filecmp
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from statesys import COMMANDS, EXTRAS
from tests.support.paths import ROOT

#: Seconds that any step may take; the demo on a busy machine takes longest.
_PATIENCE = 300


def main() -> None:
    """Run the proof; ends with an error at the first step that fails."""
    with tempfile.TemporaryDirectory(prefix="statesys-installed-") as directory:
        place = Path(directory)
        wheel = _built_twice(place)
        installation = _Installation(place, wheel)
        installation.refuses_without_extra()
        installation.install(f"{wheel}[web]")
        installation.helps()
        installation.carries()
    _say("verified: the wheel needs nothing of the checkout")


def _built_twice(place: Path) -> Path:
    """Build twice and compare; returns the wheel."""
    first, second = place / "dist", place / "again"
    for directory in (first, second):
        directory.mkdir()
        subprocess.run([str(ROOT / ".ci" / "dist"), str(directory)], check=True)
    names = sorted(path.name for path in first.iterdir())
    same, different, failed = filecmp.cmpfiles(first, second, names, shallow=False)
    if len(same) != 2 or different or failed:
        raise SystemExit(f"two builds differ: {different + failed}")
    _say(f"two builds are the same bytes: {', '.join(names)}")
    (wheel,) = first.glob("*.whl")
    return wheel


class _Installation:
    """A new environment with the wheel, outside the checkout."""

    def __init__(self, place: Path, wheel: Path) -> None:
        self._place = place
        self._bin = place / "venv" / "bin"
        kept = {name: value for name, value in os.environ.items() if "STATESYS" not in name}
        kept.pop("PYTHONPATH", None)
        self._environment = kept | {"STATESYS_HOME": str(place / "home")}
        subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
        self.install(str(wheel))

    def install(self, what: str) -> None:
        """Install with pip, with the tested versions."""
        pip = [str(self._bin / "python"), "-m", "pip", "install", "--quiet"]
        pins = ["--disable-pip-version-check", "--constraint", str(ROOT / "constraints.txt")]
        self._run([*pip, *pins, what])

    def refuses_without_extra(self) -> None:
        """Without its extra, a command says what to install."""
        for name, extra in EXTRAS.items():
            refused = self._statesys(name, "--help", code=2)
            if f"pip install 'statesys[{extra}]'" not in refused.stderr:
                raise SystemExit(f"statesys {name} does not name its extra: {refused.stderr}")
        _say(f"{len(EXTRAS)} commands name the extra that they need")

    def helps(self) -> None:
        """Every command can be imported."""
        _say(self._statesys("--version").stdout.strip())
        for name in COMMANDS:
            self._statesys(name, "--help")
        _say(f"{len(COMMANDS)} commands have their help")

    def carries(self) -> None:
        """The private servers start, the demo is verified, the viewer shows it."""
        demo = self._place / "home" / "demo"
        try:
            self._statesys("up")
            self._statesys("loader", "migrate")
            _say(self._statesys("demo").stdout.strip().splitlines()[-1])
            with self._viewer(demo) as address:
                for path in ("", "clients", "static/style.css", "metrics", "api"):
                    # The address is the viewer's own.
                    with urlopen(address + path, timeout=_PATIENCE) as answer:
                        _say(f"GET /{path}: {answer.status}, {len(answer.read())} bytes")
        finally:
            self._statesys("down", "--home", str(demo), "--purge")
            self._statesys("down", "--purge")

    @contextmanager
    def _viewer(self, home: Path) -> Iterator[str]:
        command = [str(self._bin / "statesys"), "web", "--listen", "127.0.0.1:0"]
        environment = self._environment | {"STATESYS_HOME": str(home)}
        with subprocess.Popen(
            command, cwd=self._place, env=environment, stderr=subprocess.PIPE, text=True
        ) as viewer:
            try:
                assert viewer.stderr is not None
                yield viewer.stderr.readline().strip()
            finally:
                viewer.terminate()
                viewer.communicate(timeout=_PATIENCE)

    def _statesys(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self._run([str(self._bin / "statesys"), *arguments], code=code)

    def _run(self, command: list[str], *, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self._place,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if done.returncode != code:
            raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
