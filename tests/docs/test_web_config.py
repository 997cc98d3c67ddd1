"""
`docs/exporter-toolkit.md` has the rows that the tests hold, and the examples of `docs/web-config.md` work.
"""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml

from exporter.web.security.client import ClientFile
from exporter.web.security.config import load_web_config
from exporter.web.security.schema import WebFile
from tests.deploy.project import ROOT
from tests.web.security.house import House
from tests.web.security.rows import TABLES, Row

pytestmark = pytest.mark.docs

PAGE = (ROOT / "docs/web-config.md").read_text(encoding="utf-8")
COMPARED = (ROOT / "docs/exporter-toolkit.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def rows_table() -> str:
    """
    The toolkit's rows, ready to paste.
    """
    lines = ["| row | file | toolkit | here |", "|---|---|---|---|"]
    for test, rows in TABLES.items():
        lines.append(f"| **{test}** | | | |")
        lines += [
            f"| {row.name} | {f'`{row.file}`' if row.file else '–'} | {row.toolkit} | {_here(row)} |" for row in rows
        ]
    return "\n".join(lines)


def _here(row: Row) -> str:
    return f"**{row.here}**: {row.why}" if row.why else "same"


def block(beginning: str) -> str:
    """
    The example in YAML that begins so.
    """
    (found,) = [text for text in BLOCKS if text.startswith(beginning)]
    return found


def test_the_rows_are_those_that_are_tested():
    """
    No row is left out, and none says "same" that ends otherwise.
    """
    assert rows_table() in COMPARED


def test_every_key_is_explained():
    """
    Of the web config, and of the file for probes.
    """
    keys = set()
    for section, field in WebFile.model_fields.items():
        kind = field.annotation
        inner = next((each for each in (kind, *getattr(kind, "__args__", ())) if hasattr(each, "model_fields")), None)
        keys |= {section} if inner is None else set(inner.model_fields)

    assert set() == {key for key in keys if f"`{key}`" not in PAGE and f".{key}`" not in PAGE}
    for section, field in ClientFile.model_fields.items():
        inner = next(each for each in field.annotation.__args__ if hasattr(each, "model_fields"))  # type: ignore[union-attr]
        assert f"`{section}` ({', '.join(f'`{key}`' for key in inner.model_fields)})" in " ".join(PAGE.split())


def test_the_example_is_valid(tmp_path):
    """
    As it stands, with a certificate and a key beside it.
    """
    house = House(tmp_path, block("# web.yml"))

    assert ("TLS", "passwords") == load_web_config(house.file).guards


def test_the_probe_s_file_is_valid():
    """
    Every key of the example is one that `healthy` knows.
    """
    ClientFile.model_validate(yaml.safe_load(block("# probe.yml")))


@pytest.mark.needs_program("promtool")
def test_prometheus_takes_its_example(tmp_path):
    """
    `promtool check config` finds nothing to say.
    """
    example = block("scrape_configs:").replace("/etc/prometheus", str(tmp_path))
    for name in re.findall(rf"{re.escape(str(tmp_path))}/(\S+)", example):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "prometheus.yml").write_text(example, encoding="utf-8")
    promtool = shutil.which("promtool")
    assert promtool

    done = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
