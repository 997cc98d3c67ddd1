"""
What the package says of itself holds.
"""

import ast
import re
import sys
from importlib.metadata import packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import exporter
from tests.deploy.project import PYPROJECT, ROOT, VERSION


def imported(tree):
    """
    Top-level names of the modules that a syntax tree imports.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_what_the_package_imports_is_declared_and_no_more():
    """
    A wheel in an empty environment has every module it imports, and drags along nothing that it does not; what a
    cluster needs comes with its extra.
    """
    used = {
        module
        for path in (ROOT / "exporter").rglob("*.py")
        for module in imported(ast.parse(path.read_text(encoding="utf-8")))
        if module not in sys.stdlib_module_names and module != "exporter"
    }
    distributions = packages_distributions()
    extras = PYPROJECT["project"]["optional-dependencies"]
    lines = [*PYPROJECT["project"]["dependencies"], *extras["redis"]]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}

    # pydantic's own core is imported for its error class; it comes with pydantic, at the one version that fits.
    came_along = {"pydantic-core"}
    assert declared == {canonicalize_name(distributions[module][0]) for module in used} - came_along


def test_the_package_is_typed():
    """
    Type checkers of other projects read the annotations.
    """
    assert (ROOT / "exporter/py.typed").is_file()


def test_the_code_knows_its_version():
    """
    `--version` and rtc_exporter_build_info tell the version that was packaged.
    """
    assert VERSION == exporter.__version__


def test_the_changelog_tells_of_this_version():
    """
    Nobody installs a version whose changes are not written down.
    """
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert ["Unreleased", VERSION] == headings[:2]


def test_the_licence_is_the_one_declared():
    """
    LICENSE holds the text that pyproject.toml names.
    """
    assert "Apache-2.0" == PYPROJECT["project"]["license"]
    assert "Apache License\n                           Version 2.0" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_every_lint_rule_left_out_has_its_reason_beside_it():
    """
    An exception to the house rules is explained where it is made.
    """
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ignores = re.search(r"^ignore = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)

    assert ignores
    for line in ignores[1].splitlines():
        assert re.fullmatch(r' {4}"[A-Z]+\d*",\s+# \S.*', line), line


def test_the_simulator_is_kept_apart_from_every_other_module():
    """
    A new module of the exporter is forbidden to the simulator too.
    """
    (contract,) = [each for each in PYPROJECT["tool"]["importlinter"]["contracts"] if "simulator" in each["name"]]
    modules = {
        f"exporter.{path.stem}"
        for path in (ROOT / "exporter").iterdir()
        if path.suffix in {"", ".py"} and not path.stem.startswith("_")
    }

    assert modules - {"exporter.simulator"} == set(contract["forbidden_modules"])
