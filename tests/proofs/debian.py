"""A Debian of its own in a directory, made by debootstrap and entered by chroot; needs root.

Its commands run in namespaces of their own, so that mounts and processes end with them, whatever
happens. Packages come from where the machine's own apt and pip take theirs.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

#: Files of the machine that tell where names are.
_BORROWED = ("/etc/resolv.conf", "/etc/hosts")
#: The machine's certificate authorities, beside Debian's own: pip's sources may need them.
_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/machine-authorities.crt")
#: Variables that a command in it gets from ours: pip's sources.
_PASSED = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Mounts what programs expect, for this command only, and then becomes it.
_ENTER = """
mount --bind "$0" "$0"
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
mount -t tmpfs -o mode=1777 tmpfs "$0/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$0/tmp"
exec chroot "$@"
"""


class Debian:
    """A Debian in a directory.

    Args:
        root: the directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def make(cls, suite: str, root: Path) -> Self:
        """Install the smallest system of a suite."""
        command = ["debootstrap", "--variant=minbase", suite, str(root), _mirror()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"debootstrap failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        for path, copy in (*((path, path) for path in _BORROWED), _AUTHORITIES):
            shutil.copyfile(path, root / copy[1:])
        return cls(root)

    def install(self, *packages: str) -> None:
        """Install packages with apt, without those that they only recommend."""
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        self.run(["apt-get", "-qq", "update"], environment=quiet)
        install = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages]
        self.run(install, environment=quiet, output=subprocess.DEVNULL)

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        user: str = "root",
        directory: str = "/",
        output: int | None = None,
        code: int = 0,
    ) -> None:
        """Run a command in it, and all that it leaves running ends with it.

        Args:
            command: its program and arguments.
            environment: variables beside `PATH` and pip's.
            user: who runs it.
            directory: where.
            output: where stdout goes, as `subprocess` takes it.
            code: the exit code that it must have.
        """
        entered = self.entering(command, environment=environment, user=user, directory=directory)
        done = subprocess.run(entered, stdout=output, check=False)
        if done.returncode != code:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}, not {code}")

    def entering(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        user: str = "root",
        directory: str = "/",
    ) -> list[str]:
        """The command line that runs a command in it; arguments as for `run`."""
        passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
        known = {"HOME": "/root", "PATH": _PATH, "PIP_CERT": _AUTHORITIES[1]}
        variables = known | passed | dict(environment or {})
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts"]
        inside = [
            *("/bin/sh", "-c", 'cd "$0" && exec "$@"', directory),
            *(
                ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
                * (user != "root")
            ),
            *("env", "-i", *(f"{name}={value}" for name, value in variables.items()), *command),
        ]
        return [*namespaces, "/bin/sh", "-ec", _ENTER, str(self.root), str(self.root), *inside]


@contextmanager
def fresh(suite: str) -> Iterator[Debian]:
    """A new Debian in a temporary directory, which is deleted at the end."""
    if os.geteuid() != 0:
        raise SystemExit("a Debian in a directory needs root")
    if shutil.which("debootstrap") is None:
        raise SystemExit("debootstrap is missing: apt-get install debootstrap")
    # Not in /tmp, which may be in memory.
    directory = Path(tempfile.mkdtemp(prefix=f"statesys-{suite}-", dir="/var/tmp"))
    try:
        yield Debian.make(suite, directory / "root")
    finally:
        shutil.rmtree(directory)


def _mirror() -> str:
    """Where the machine's apt takes Debian's own packages from."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    told = subprocess.run(
        [*command, "Created-By: Packages", "Label: Debian", "Component: main"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = told.stdout.split()
    if not found:
        raise SystemExit("apt has no source of Debian's packages here")
    return found[0]
