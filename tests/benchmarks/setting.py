"""What must be there before anything is measured: the peers, and a line about the machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
BUILT: Final = ROOT / "build" / "benchmarks"
PYTHON_PEERS: Final = BUILT / "python"
"""Where peers that are Python packages live, apart from the environment of the project."""

_PINS: Final = Path(__file__).parent / "peers" / "requirements.txt"
_INSTALLED: Final = PYTHON_PEERS / "requirements.txt"
_PYTHON_PACKAGES: Final = ("aiolimiter", "requests")
_GO_SOURCES: Final = Path("/usr/share/gocode")
_DEBIAN_PACKAGES: Final = {
    "golang-go": Path("/usr/bin/go"),
    "golang-github-prometheus-client-golang-dev": _GO_SOURCES / "src/github.com/prometheus/client_golang",
    "golang-github-victoriametrics-metrics-dev": _GO_SOURCES / "src/github.com/VictoriaMetrics/metrics",
}


class PeerMissingError(Exception):
    """A peer is neither there nor can it be installed."""


def python_peers() -> None:
    """Install the peers that are Python packages at their pinned versions, once for each Python and set of pins."""
    wanted = f"# Python {platform.python_version()}\n{_PINS.read_text(encoding='utf-8')}"
    if _INSTALLED.exists() and _INSTALLED.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(PYTHON_PEERS, ignore_errors=True)
    PYTHON_PEERS.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:"]
    _run([*pip, "--target", str(PYTHON_PEERS), "-r", str(_PINS)])
    _INSTALLED.write_text(wanted, encoding="utf-8")


def go_peer(name: str) -> Path:
    """
    The program of a peer written in Go, built from `peers/NAME/main.go` and Debian's packages.

    Raises:
        PeerMissingError: No Go here, and no right to install it.
    """
    source = Path(__file__).parent / "peers" / name / "main.go"
    program = BUILT / name
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    _debian_packages()
    environment = {"GO111MODULE": "off", "GOPATH": str(_GO_SOURCES), "GOFLAGS": "", "CGO_ENABLED": "0"}
    _run(["go", "build", "-o", str(program), str(source)], environment)
    return program


def _debian_packages() -> None:
    missing = [package for package, path in _DEBIAN_PACKAGES.items() if not path.exists()]
    if not missing:
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise PeerMissingError(f"peers need Debian's packages; as root: apt-get install {' '.join(missing)}")
    _run(["apt-get", "update", "-qq"])
    install = ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", *missing]
    _run(install, {"DEBIAN_FRONTEND": "noninteractive"})


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    print("  $", " ".join(command), file=sys.stderr, flush=True)
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        raise PeerMissingError(f"{' '.join(command)}: {done.stdout.decode(errors='replace').strip()}")


def machine() -> str:
    """Processor, memory and system, in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    processor = found[1] if found else platform.machine()
    return f"{os.cpu_count()} × {processor}, {memory:.0f} GiB, Linux {platform.release()}"


def versions() -> str:
    """Versions of everything that was measured or that measured, in one line."""
    ours = {
        name: version(name) for name in ("aiohttp", "uvloop", "isal", "msgspec", "APScheduler", "prometheus_client")
    }
    peers = {
        found.name: found.version for found in distributions(path=[str(PYTHON_PEERS)]) if found.name in _PYTHON_PACKAGES
    }
    debian = {package: _debian_version(package) for package in _DEBIAN_PACKAGES}
    known = {"Python": platform.python_version(), **ours, **peers, **debian}
    return ", ".join(f"{name} {number}" for name, number in known.items() if number)


def _debian_version(package: str) -> str:
    if not shutil.which("dpkg-query"):
        return ""
    asked = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Version}", package], capture_output=True, text=True, check=False
    )
    return asked.stdout
