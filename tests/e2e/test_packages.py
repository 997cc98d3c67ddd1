"""
What people install from: the wheel and the `.deb`, built as `make dist` builds them and installed as people do.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from tests.command import ask, command
from tests.deploy.project import PYPROJECT, ROOT, VERSION
from tests.deploy.test_requirements import pins, read

# Installing, and reading some thousand files, takes a busy machine long.
pytestmark = pytest.mark.timeout(400)

PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
HOME = "opt/rtc-room-exporter"
WITHOUT_INDEX = re.compile(
    r"max retries exceeded|name resolution|connection (refused|timed out|broken)|network is unreachable", re.IGNORECASE
)


def built(folder: Path, *names: str) -> None:
    """
    Run `.ci/dist`; where there is no index to fetch from, and this is not CI, the tests that need it are skipped.
    """
    env = {**os.environ, "VENV": sys.prefix, "DIST": str(folder)}
    done = subprocess.run([ROOT / ".ci/dist", *names], check=False, capture_output=True, text=True, env=env)
    tell_without_index(done)


def tell_without_index(done: subprocess.CompletedProcess[str]) -> None:
    """
    Skip where there was no index to fetch from, and say so; any other failure, and any in CI, is one.
    """
    if done.returncode and WITHOUT_INDEX.search(done.stderr) and os.environ.get("CI", "").lower() not in {"true", "1"}:
        pytest.skip("no package index can be reached from here")
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """
    The wheel.
    """
    folder = tmp_path_factory.mktemp("wheel")
    built(folder, "wheel")
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def deb(tmp_path_factory):
    """
    The package for the distribution whose Python this is.
    """
    folder = tmp_path_factory.mktemp("deb")
    built(folder, "deb")
    (path,) = folder.glob("*.deb")
    return path


@pytest.fixture(scope="module")
def unpacked(deb, tmp_path_factory):
    """
    The files of the package, below a folder.
    """
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "--extract", deb, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """
    A virtual environment with the wheel in it, and beside it nothing but what it imports.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    # Of this tree's own installation nothing is seen there: a *.pth file does not lead to further ones.
    (site / "imported.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--ignore-installed", wheel], check=True)
    return folder


def shows_rooms(program: Sequence[str | Path], folder: Path) -> None:
    """
    The demo of an installed program, called in an empty folder, has a page, rooms, and an end.
    """
    with command("demo", "--web.listen-address=127.0.0.1:0", program=program, folder=folder) as demo:
        page = demo.until(r"Live rooms of six simulated vendor APIs: +(\S+)")[1]
        metrics = demo.until(r"Metrics for Prometheus: +(\S+)")[1]
        status, text = ask(page)
        style, _ = ask(f"{page}static/page.css")
        series = ask(metrics)[1]
        code = demo.end()

    assert (200, 200, 0) == (status, style, code)
    assert "<title>" in text
    assert 'rtc_room_info{vendor="zego"' in series
    assert f'version="{VERSION}"' in series


def test_the_demo_runs_from_the_wheel(environment, tmp_path):
    """
    Simulator, page and styles come along.
    """
    shows_rooms([environment / "bin/rtc-room-exporter"], tmp_path)


def test_what_is_installed_is_the_wheel(environment, tmp_path):
    """
    And not this tree, which the other tests run.
    """
    where = "import exporter, sys; sys.stdout.write(exporter.__file__)"

    told = subprocess.run([environment / "bin/python", "-c", where], cwd=tmp_path, check=True, capture_output=True)

    assert Path(os.fsdecode(told.stdout)).is_relative_to(environment)


def test_pipx_installs_it(wheel, tmp_path):
    """
    As people do who want a command and no environment; with the versions of the pins, so that no release of somebody
    else's fails this.
    """
    pinned = tmp_path / "pins.txt"
    pinned.write_text(
        "".join(f"{name}=={version}\n" for name, version in pins(read("deploy/requirements.txt")).items())
    )
    home, commands = tmp_path / "home", tmp_path / "bin"
    pipx: list[str | Path] = [Path(sys.executable).with_name("pipx"), "install", "--python", sys.executable]
    installed = subprocess.run(
        [*pipx, f"--pip-args=--only-binary=:all: --constraint={pinned}", wheel],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PIPX_HOME": str(home), "PIPX_BIN_DIR": str(commands)},
    )
    tell_without_index(installed)

    told = subprocess.run([commands / "rtc-room-exporter", "--version"], check=True, capture_output=True, text=True)

    assert told.stdout.startswith(f"rtc-room-exporter {VERSION} ")
    assert ["rtc-room-exporter"] == [path.name for path in commands.iterdir()]


def test_the_chart_is_packed_beside_them(tmp_path):
    """
    Under the name that Helm looks for.
    """
    built(tmp_path, "chart")

    assert [f"rtc-room-exporter-{VERSION}.tgz"] == [path.name for path in tmp_path.iterdir()]


def test_nothing_but_the_program_is_in_the_wheel(wheel):
    """
    No tests, no deployment files; and all of the program's own files, such as templates, pictures and its handbook.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}

    own = [path for path in (ROOT / "exporter").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]

    assert names == {str(path.relative_to(ROOT)) for path in own} | {f"exporter/docs/{path.name}" for path in pages}


def bill() -> dict[str, Any]:
    """
    The bill of materials.
    """
    text = (ROOT / "deploy/sbom.cdx.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def test_the_wheel_has_its_bill_of_materials(wheel):
    """
    Where scanners look for one: beside the wheel's own metadata.
    """
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if ".dist-info/sboms/" in name]

        assert bill() == json.loads(archive.read(name))


def test_the_bill_of_materials_is_valid():
    """
    Strictly by the schema of the version that it names.
    """
    text = (ROOT / "deploy/sbom.cdx.json").read_text(encoding="utf-8")
    version = SchemaVersion.from_version(bill()["specVersion"])

    assert JsonStrictValidator(version).validate_str(text) is None


def test_the_bill_of_materials_has_what_is_pinned():
    """
    `make lock` writes both: every package with its version and its licence, and what needs which.
    """
    components = bill()["components"]
    found = {canonicalize_name(one["name"]): one["version"] for one in components}
    needed = {one["ref"] for one in bill()["dependencies"]}

    assert {name: str(version) for name, version in pins(read("deploy/requirements.txt")).items()} == found
    assert [] == [one["name"] for one in components if not one.get("licenses")]
    assert {one["bom-ref"] for one in components} <= needed
    assert PYPROJECT["project"]["name"] == bill()["metadata"]["component"]["name"]


def test_the_image_and_the_deb_have_the_wheel_and_so_its_bill():
    """
    Both are made of the wheel; the builder of the image is given the file.
    """
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")

    assert re.search(r"^COPY .*deploy/sbom\.cdx\.json.* deploy/$", dockerfile, re.MULTILINE)
    assert "!deploy/sbom.cdx.json\n" in (ROOT / ".dockerignore").read_text(encoding="utf-8")


@pytest.mark.soak
def test_every_pin_has_a_wheel_for_aarch64():
    """
    The image can be built for both; this takes an index that serves wheels of other machines than this one.
    """
    done = subprocess.run([ROOT / ".ci/wheels"], check=False, capture_output=True, text=True)

    assert 0 == done.returncode, done.stderr
    assert f"{len(pins(read('deploy/requirements.txt')))} of them" in done.stdout


@pytest.mark.needs_program("dpkg-deb", "lintian")
def test_lintian_has_no_complaint(deb):
    """
    Apart from those that deploy/deb/lintian-overrides answers, each with its reason.
    """
    told = subprocess.run(["lintian", "--fail-on=error,warning", deb], check=False, capture_output=True, text=True)

    assert (0, "") == (told.returncode, told.stdout)


@pytest.mark.needs_program("dpkg-deb")
def test_the_deb_asks_for_the_python_that_it_was_built_for(deb):
    """
    And is this version.
    """
    told = subprocess.run(["dpkg-deb", "--info", deb, "control"], check=True, capture_output=True, text=True).stdout
    control = dict(re.findall(r"^([A-Z][\w-]+): (.*)$", told, re.MULTILINE))

    assert ("rtc-room-exporter", f"{VERSION}-1") == (control["Package"], control["Version"])
    assert PYTHON in control["Depends"].split(", ")


@pytest.mark.needs_program("dpkg-deb")
def test_the_deb_has_unit_and_program_where_each_looks_for_the_other(unpacked):
    """
    The unit starts what is installed, in an environment whose Python is the distribution's.
    """
    unit = (unpacked / "usr/lib/systemd/system/rtc-room-exporter.service").read_text(encoding="utf-8")
    (program,) = re.findall(r"^ExecStart=/(\S+)", unit, re.MULTILINE)
    secrets = unpacked / "etc/rtc-room-exporter/secrets"

    assert (ROOT / "deploy/systemd/rtc-room-exporter.service").read_text(encoding="utf-8") == unit
    assert os.access(unpacked / program, os.X_OK)
    assert f"#!/{HOME}/bin/python\n" == (unpacked / program).read_text(encoding="utf-8").splitlines(keepends=True)[0]
    assert f"/usr/bin/{PYTHON}" == str((unpacked / HOME / "bin/python").readlink())
    assert f"/{program}" == str((unpacked / "usr/bin/rtc-room-exporter").readlink())
    assert 0o700 == secrets.stat().st_mode & 0o777


@pytest.mark.needs_program("dpkg-deb")
def test_the_demo_runs_from_the_deb(unpacked, tmp_path):
    """
    With nothing but what is inside, and with the distribution's Python where this machine has it.
    """
    python = unpacked / HOME / "bin/python"
    if not python.exists():
        python.unlink()
        python.symlink_to(Path(sys.executable).resolve())

    shows_rooms([python, unpacked / HOME / "bin/rtc-room-exporter"], tmp_path)


@pytest.mark.needs_program("dpkg-deb")
def test_nothing_in_the_deb_tells_where_it_was_built(deb, unpacked):
    """
    So the same commit gives the same bytes on every machine.
    """
    folder = os.fsencode(deb.parent)

    naming = [path for path in unpacked.rglob("*") if path.is_file() and folder in path.read_bytes()]
    assert [] == [*naming, *unpacked.rglob("direct_url.json")]


@pytest.mark.needs_program("dpkg-deb")
def test_nothing_is_compiled_when_the_deb_s_program_starts(unpacked):
    """
    The service may not write under /opt, so each start would compile everything: bytecode comes along, of every module.
    """
    library = unpacked / HOME / "lib"
    tag = sys.implementation.cache_tag

    lacking = [
        path for path in library.rglob("*.py") if not (path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc").exists()
    ]
    assert [] == lacking


def test_the_deb_is_described_by_a_file_that_names_files_of_this_tree():
    """
    A moved file fails here first, in plain words.
    """
    given = yaml.safe_load((ROOT / "deploy/deb/nfpm.yaml").read_text(encoding="utf-8"))
    paths = [one["src"] for one in given["contents"] if one.get("src", "").startswith("deploy/")]

    assert [] == [path for path in [*paths, *given["scripts"].values()] if not (ROOT / path).exists()]
