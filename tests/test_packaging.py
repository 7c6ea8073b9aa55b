"""What is installed is what is in the tree: packages, data files, version, dependencies.

Run against a wheel by .ci/run, which sets MOLAE_EXPECT_WHEEL: then molae must not come from the
tree.
"""

from __future__ import annotations

import ast
import fnmatch
import gzip
import hashlib
import json
import os
import re
import sys
import tomllib
from importlib import metadata
from importlib.resources import as_file, files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
MOVED = {"molae.cli": "cli", "molae.grammars": "grammars", "molae.data": "data"}
WHEEL = bool(os.environ.get("MOLAE_EXPECT_WHEEL"))
# The distribution that an import name comes from, where the two differ.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "fcd_torch": "fcd-torch",
    "sklearn": "scikit-learn",
    "torch_fidelity": "torch-fidelity",
}


def _folder(package: str) -> Path:
    """Where the tree keeps a package."""
    return ROOT / MOVED.get(package, package.replace(".", "/"))


def _tree() -> list[str]:
    """Every folder under molae/ with Python files in it, and the moved ones."""
    found = {"molae": ROOT / "molae"}
    for folder in (ROOT / "molae").rglob("*"):
        if folder.is_dir() and any(folder.glob("*.py")):
            found[".".join(("molae", *folder.relative_to(ROOT / "molae").parts))] = folder
    return sorted([*found, *MOVED])


def _data_files(package: str) -> list[str]:
    """Relative paths of what a package's folder holds besides Python sources."""
    folder = _folder(package)
    below = [_folder(p) for p in _tree() if _folder(p) != folder and folder in _folder(p).parents]
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix not in (".py", ".pyc")
        and not any(part.startswith((".", "__pycache__")) for part in _parts(path, folder))
        and not any(other in path.parents for other in below)
    )


def _parts(path: Path, folder: Path) -> tuple[str, ...]:
    return path.relative_to(folder).parts


def _matches(name: str, patterns: list[str]) -> bool:
    """Whether setuptools would take the file: * stays in a folder, ** goes down."""
    for pattern in patterns:
        head, deep, tail = pattern.partition("**/")
        if deep:
            if name.startswith(head) and fnmatch.fnmatch(name.rsplit("/", 1)[-1], tail):
                return True
        elif name.count("/") == pattern.count("/") and fnmatch.fnmatch(name, pattern):
            return True
    return False


def test_package_list_is_the_tree():
    assert sorted(SETUPTOOLS["packages"]) == _tree()
    assert SETUPTOOLS["package-dir"] == MOVED


@pytest.mark.parametrize("package", _tree())
def test_packages_say_what_they_are(package):
    source = _folder(package) / "__init__.py"
    assert source.is_file(), f"{source.relative_to(ROOT)} is missing"
    assert ast.get_docstring(ast.parse(source.read_text(encoding="utf-8")))


@pytest.mark.parametrize("package", _tree())
def test_package_data_is_the_tree(package):
    patterns = SETUPTOOLS["package-data"].get(package, [])
    left_out = [name for name in _data_files(package) if not _matches(name, patterns)]
    assert not left_out, f"the wheel would lack {left_out} of {package}"


def test_package_data_names_packages():
    assert SETUPTOOLS["package-data"].keys() <= set(SETUPTOOLS["packages"])


def test_patterns_match_as_setuptools_does():
    assert _matches("smiles.cfg", ["*.cfg"])
    assert _matches("weights/zinc/densities/gmm.safetensors", ["weights/**/*"])
    assert not _matches("old/smiles.cfg", ["*.cfg"])
    assert not _matches("smiles.cfg.bak", ["*.cfg"])


def test_version_is_a_literal():
    tree = ast.parse((ROOT / "molae" / "__init__.py").read_text(encoding="utf-8"))
    (value,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    ]
    assert isinstance(value, ast.Constant)
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", value.value)
    assert metadata.version("molae") == value.value, "installed from another tree: run make venv"


def _declared(*extras: str) -> set[str]:
    """Names of the distributions that pyproject.toml asks for, normalised."""
    wanted = [*PROJECT["project"]["dependencies"]]
    for extra in extras:
        wanted += PROJECT["project"]["optional-dependencies"][extra]
    return {re.split(r"[<>=!~\[; ]", item)[0].lower().replace("_", "-") for item in wanted}


def _imported() -> dict[str, str]:
    """Top-level name of every third-party import -> one file that has it."""
    found = {}
    for folder in ("molae", "cli"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                else:
                    continue
                for name in names:
                    found[name.split(".")[0]] = str(path.relative_to(ROOT))
    return {k: v for k, v in found.items() if k not in sys.stdlib_module_names | {"molae"}}


def test_dependencies_are_what_is_imported():
    optional = [extra for extra in PROJECT["project"]["optional-dependencies"] if extra != "dev"]
    imported = {DISTRIBUTIONS.get(name, name): path for name, path in _imported().items()}
    undeclared = {n: p for n, p in imported.items() if n not in _declared(*optional)}
    assert not undeclared, f"imported and not in pyproject.toml: {undeclared}"
    unused = _declared() - imported.keys()
    assert not unused, f"asked for in pyproject.toml and never imported: {sorted(unused)}"


def test_constraints_pin_everything():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin) for pin in pins), (
        "a pin is NAME==VERSION without a local part: torch==2.13.0 takes 2.13.0+cpu where offered"
    )
    names = [pin.split("==")[0].lower().replace("_", "-") for pin in pins]
    assert len(names) == len(set(names))
    assert _declared(*PROJECT["project"]["optional-dependencies"]) <= set(names)


@pytest.mark.parametrize("package", _tree())
def test_installed_files_are_the_tree(package):
    installed = files(package)
    sources = [path.name for path in _folder(package).glob("*.py")]
    for name in [*sources, *_data_files(package)]:
        there = installed.joinpath(*name.split("/"))
        assert there.is_file(), f"{package} was installed without {name}"
        assert there.read_bytes() == (_folder(package) / name).read_bytes()


def test_shipped_files_are_there():
    grammars = {file.name for file in files("molae.grammars").iterdir()}
    assert {"smiles.cfg", "zinc.cfg", "equation.cfg"} <= grammars
    data = {file.name for file in files("molae.data").iterdir()}
    assert {"demo.smi.gz", "demo.json", "zinc250k.json", "mnist.json"} <= data
    assert files("molae").joinpath("py.typed").is_file()


def test_demo_set_is_what_its_card_says():
    data = files("molae.data")
    card = json.loads(data.joinpath("demo.json").read_text(encoding="utf-8"))
    ((place,),) = card["files"]
    packed = data.joinpath(place["file"]).read_bytes()
    assert hashlib.sha256(packed).hexdigest() == place["sha256"]
    assert len(packed) == place["bytes"]
    lines = gzip.decompress(packed).decode("ascii").splitlines()
    assert len(set(lines)) == len(lines) == card["rows"] >= 20_000


@pytest.mark.skipif(not WHEEL, reason="only where a wheel is installed (.ci/run)")
def test_it_is_the_wheel_that_is_tested():
    with as_file(files("molae")) as place:
        assert ROOT not in place.resolve().parents
    assert not any(f.name == "tests" for f in files("molae").iterdir())


def test_command_is_declared():
    (entry,) = metadata.entry_points(group="console_scripts", name="molae")
    assert entry.value == PROJECT["project"]["scripts"]["molae"]
