"""What stands beside the code agrees with it: metadata, pins, commands, licence, reference, wheel."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import crossbit

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TRAIN = PROJECT["optional-dependencies"]["train"]
REQUIRED = [Requirement(line) for line in (*PROJECT["dependencies"], *TRAIN)]
LINES = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
SERVE = [Requirement(line) for line in PROJECT["optional-dependencies"]["serve"]]  # what one package alone imports
MILVUS = [Requirement(line) for line in PROJECT["optional-dependencies"]["milvus"]]  # and what some modules do
EXTRA = [Requirement(line) for line in LINES if not line.startswith("crossbit[")]  # an extra may hold another one


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pins() -> dict[str, str]:
    lines = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): pin for name, pin in (line.split("==") for line in lines)}


def test_version() -> None:
    assert crossbit.__version__ == PROJECT["version"] == version("crossbit")


def test_licence_is_the_one_declared() -> None:
    assert PROJECT["license"] == "MIT"
    assert [read(name).startswith("MIT License") for name in PROJECT["license-files"]] == [True]


@pytest.mark.parametrize("requirement", REQUIRED + EXTRA, ids=lambda requirement: requirement.name)
def test_every_requirement_is_pinned_to_a_version_that_it_allows(requirement: Requirement) -> None:
    assert requirement.specifier, "give at least a lower bound"
    assert requirement.specifier.contains(Version(pins()[canonicalize_name(requirement.name)]))


def test_pins_are_for_any_machine() -> None:
    assert [pin for pin in pins().values() if Version(pin).local] == []


@pytest.mark.slow
def test_every_imported_library_is_required() -> None:
    served, far = imported(lambda path: "serve" in path.parts), imported(is_milvus)
    others = imported(lambda path: "serve" not in path.parts and not is_milvus(path))
    assert not_required(others, REQUIRED) == set()
    assert not_required(far, REQUIRED + MILVUS) == set()
    assert not_required(served, REQUIRED + SERVE) == set()


def is_milvus(path: Path) -> bool:
    return "milvus" in path.parts


def imported(chosen: Callable[[Path], bool]) -> set[str]:
    """What the chosen modules import from elsewhere."""
    found = set()
    for path in filter(chosen, (ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def not_required(names: set[str], requirements: list[Requirement]) -> set[str]:
    homes = packages_distributions()
    required = {canonicalize_name(requirement.name) for requirement in requirements} | {"crossbit"}
    return {name for name in names if not required & {canonicalize_name(home) for home in homes.get(name, [])}}


def test_public_names_agree() -> None:
    tree = ast.parse(read("src/crossbit/__init__.py"))
    [for_types] = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    typed = {
        alias.name: str(node.module)
        for node in for_types.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == crossbit._HOMES
    assert sorted({*typed, "__version__"}) == sorted(crossbit.__all__)
    assert set(crossbit.__all__) <= set(dir(crossbit))


@pytest.mark.parametrize("name", sorted(crossbit.__all__))
def test_public_names_load(name: str) -> None:
    value = getattr(crossbit, name)
    assert name == "__version__" or value.__module__.startswith(crossbit._HOMES[name])


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        crossbit.trian  # noqa: B018


def test_reference_has_every_public_name() -> None:
    documented = re.findall(r"^::: (\S+)$", read("docs/reference.md"), re.MULTILINE)
    assert {f"{home}.{name}" for name, home in crossbit._HOMES.items()} <= set(documented)


def test_commands_of_the_readme_and_of_make_help_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE)
    commands = re.findall(r"^ *make ([a-z]+)", read("README.md"), re.MULTILINE)
    assert {"demo", "test"} <= set(commands) <= set(targets)
    if shutil.which("make"):
        listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert re.findall(r"^make (\S+)", listed, re.MULTILINE) == targets


@pytest.mark.slow
def test_wheel_holds_every_file(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    source = tmp_path / "src" / "crossbit"
    shutil.copytree(ROOT / "src" / "crossbit", source, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    page = source / "data" / "page"  # as a page will be: beside code, in a folder without any
    page.mkdir()
    for ending in ("html", "css", "js", "json", "toml"):
        (page / f"made-up.{ending}").touch()
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "wheel", "."]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True, env={**os.environ, "PIP_NO_INDEX": "1"})
    [wheel] = (tmp_path / "wheel").glob("*.whl")
    files = {str(path.relative_to(source.parent)) for path in source.rglob("*") if path.is_file()}
    assert files == {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("crossbit/")}
