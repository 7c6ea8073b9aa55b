"""The walls of the house: imports run downhill, and each library has one door.

The rules are read off the syntax trees, so nothing is imported. Each rule is also shown a source
that breaks it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# A module imports from lower rows and from its own room. What is at the top of molae/ (its public
# names, `python -m molae`) may reach for everything, and nothing but that is allowed to.
ROWS = {
    **dict.fromkeys(("names", "resources", "types"), 0),
    **dict.fromkeys(("distributions", "draws", "pictures", "repeatable"), 1),
    **dict.fromkeys(("grammar", "chem"), 2),
    **dict.fromkeys(("codecs", "densities", "nn"), 3),
    **dict.fromkeys(("datasets", "models"), 4),
    **dict.fromkeys(("objectives", "oracles", "optimize", "metrics", "convdraw"), 5),
    "training": 6,
    "runs": 7,
    "workflows": 8,
    "cli": 9,
    "sklearn": 9,
    **dict.fromkeys(("__init__", "__main__"), 10),
}
LONGEST = 450
FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal"}
FORBIDDEN_CALLS = {
    ("torch", "load"),
    ("torch", "save"),
    ("joblib", "load"),
    ("joblib", "dump"),
    ("pandas", "read_pickle"),
    ("pd", "read_pickle"),
}


def _sources() -> dict[str, Path]:
    """Dotted name -> file of every module that ships."""
    found = {}
    for folder, name in (("molae", "molae"), ("cli", "molae.cli")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((name, *parts))] = path
    return found


SOURCES = _sources()


def imports(module: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of all that a module imports, inside functions and for types too.

    ``from a import b`` is the name ``a.b``: b may be a module. Relative names are made absolute.
    """
    package = module.split(".")[:-1]  # also of a package: its module is called a.b.__init__
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and _called(node)[-1] == "import_module":
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value


def _called(node: ast.Call) -> tuple[str, ...]:
    """The dotted name that is called: ``torch.load(x)`` -> ("torch", "load")."""
    parts: list[str] = []
    target: ast.expr = node.func
    while isinstance(target, ast.Attribute):
        parts.append(target.attr)
        target = target.value
    parts.append(target.id if isinstance(target, ast.Name) else "")
    return tuple(reversed(parts))


def room(module: str) -> str:
    """``molae.grammar.cfg`` -> ``grammar``."""
    return module.split(".")[1]


def check_rows(module: str, tree: ast.AST) -> Iterator[str]:
    """Imports that do not run downhill."""
    for line, name in imports(module, tree):
        parts = name.split(".")
        if parts[0] != "molae" or name == "molae.__version__":
            continue
        if name == "molae" and room(module) == "cli":
            continue  # the command line stands on the public names
        there = parts[1] if len(parts) > 1 else "__init__"
        if there in ("grammars", "data"):
            yield f"{module}:{line} imports {name}; shipped files are read by molae.resources"
        elif there not in ROWS:
            yield f"{module}:{line} imports {name}, which is in no row"
        elif there != room(module) and ROWS[there] >= ROWS[room(module)]:
            yield f"{module}:{line} (row {ROWS[room(module)]}) imports {name} (row {ROWS[there]})"


def check_doors(module: str, tree: ast.AST) -> Iterator[str]:
    """Libraries that only one room may speak to."""
    for line, name in imports(module, tree):
        if name.split(".")[0] == "rdkit" and room(module) != "chem":
            yield f"{module}:{line} imports {name}; only molae.chem speaks to RDKit"
        if name.startswith(("importlib.resources", "importlib_resources", "pkgutil")) and (
            room(module) != "resources"
        ):
            yield f"{module}:{line} imports {name}; only molae.resources reads shipped files"


def check_safety(module: str, tree: ast.AST) -> Iterator[str]:
    """Ways to run code that comes out of a file, and ways to hide an error."""
    for line, name in imports(module, tree):
        if name.split(".")[0] in FORBIDDEN_MODULES or tuple(name.split(".")) in FORBIDDEN_CALLS:
            yield f"{module}:{line} imports {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (f"{module}:{node.lineno} {what}" for what in _unsafe(node))
        elif isinstance(node, ast.ExceptHandler) and _swallows(node):
            yield f"{module}:{node.lineno} swallows every error"
        elif isinstance(node, ast.Raise) and "NotImplementedError" in ast.dump(node):
            yield f"{module}:{node.lineno} raises NotImplementedError"


def _unsafe(node: ast.Call) -> Iterator[str]:
    name = _called(node)
    if name in {("eval",), ("exec",), ("__import__",)} or name in FORBIDDEN_CALLS:
        yield f"calls {'.'.join(name)}"
    for keyword in node.keywords:
        given = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        if keyword.arg in ("shell", "allow_pickle") and not given:
            yield f"calls {'.'.join(name)} with {keyword.arg}"


def _swallows(node: ast.ExceptHandler) -> bool:
    kind = node.type
    broad = kind is None or (
        isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException")
    )
    return broad and all(isinstance(statement, ast.Pass) for statement in node.body)


def check_file(module: str, text: str) -> Iterator[str]:
    """Length, and names that say nothing."""
    lines = text.count("\n")
    if lines > LONGEST:
        yield f"{module} has {lines} lines, more than {LONGEST}"
    if module.rsplit(".", 1)[-1] in ("utils", "util", "helpers", "misc", "common"):
        yield f"{module}: a name that says nothing"


CHECKS = (check_rows, check_doors, check_safety)


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_of_the_tree(check):
    broken = [
        problem
        for module, path in SOURCES.items()
        for problem in check(module, ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not broken, "\n".join(broken)


def test_files():
    broken = [p for m, path in SOURCES.items() for p in check_file(m, path.read_text("utf-8"))]
    assert not broken, "\n".join(broken)


def test_every_room_has_a_row():
    rooms = {room(module) for module in SOURCES}
    assert rooms <= ROWS.keys(), f"add to ROWS: {sorted(rooms - ROWS.keys())}"
    assert len(SOURCES) > 20  # the walk finds the tree at all


BAD = [
    (check_rows, "molae.grammar.cfg", "import molae.runs"),
    (check_rows, "molae.grammar.cfg", "from molae.chem import molecules"),  # same row
    (check_rows, "molae.nn.heads", "from ..training import fit"),
    (check_rows, "molae.nn.__init__", "from ..models import Autoencoder"),
    (check_rows, "molae.types", "def f():\n    from molae.draws import draw"),
    (check_rows, "molae.types", "if TYPE_CHECKING:\n    from molae.grammar.cfg import Grammar"),
    (check_rows, "molae.names", "importlib.import_module('molae.objectives')"),
    (check_rows, "molae.workflows.train", "from molae.cli.main import app"),
    (check_rows, "molae.runs", "import molae"),
    (check_rows, "molae.runs", "from molae import load"),
    (check_rows, "molae.runs", "from molae import grammars"),
    (check_doors, "molae.metrics.moses", "from rdkit.Chem import QED"),
    (check_doors, "molae.cli.draw", "import rdkit"),
    (check_doors, "molae.grammar.cfg", "from importlib import resources"),
    (check_doors, "molae.grammar.cfg", "import importlib.resources as r"),
    (check_safety, "molae.runs", "import pickle"),
    (check_safety, "molae.runs", "x = torch.load(path)"),
    (check_safety, "molae.runs", "from torch import load"),
    (check_safety, "molae.runs", "np.load(path, allow_pickle=True)"),
    (check_safety, "molae.runs", "eval(text)"),
    (check_safety, "molae.runs", "subprocess.run(text, shell=True)"),
    (check_safety, "molae.runs", "try:\n    f()\nexcept Exception:\n    pass"),
    (check_safety, "molae.runs", "raise NotImplementedError('later')"),
]
GOOD = [
    ("molae.grammar.machine", "from molae.grammar.cfg import Grammar\nfrom . import smiles"),
    ("molae.runs", "from molae import __version__\nfrom molae.codecs import GrammarCodec"),
    ("molae.chem.properties", "from rdkit import Chem"),
    ("molae.resources", "from importlib.resources import files"),
    ("molae.runs", "model.eval()\nnp.load(path, allow_pickle=False)\nimport importlib.metadata"),
    ("molae.cli.main", "import molae"),
    ("molae.cli.train", "from ..workflows.train import train\nfrom . import options"),
    ("molae.__init__", "def load(name):\n    from molae.workflows.load import load"),
]


@pytest.mark.parametrize(("check", "module", "text"), BAD)
def test_breaking_a_rule_is_seen(check, module, text):
    assert list(check(module, ast.parse(text)))


@pytest.mark.parametrize(("module", "text"), GOOD)
def test_keeping_the_rules_is_quiet(module, text):
    assert not [problem for check in CHECKS for problem in check(module, ast.parse(text))]


def test_file_rules_are_seen():
    assert list(check_file("molae.runs", "x = 1\n" * (LONGEST + 1)))
    assert list(check_file("molae.chem.utils", ""))
    assert not list(check_file("molae.runs", "x = 1\n" * LONGEST))


@pytest.mark.parametrize("module", ["molae", "molae.names", "molae.cli.main"])
def test_nothing_heavy_is_imported(module):
    heavy = {"torch", "rdkit", "sklearn", "nltk", "pandas"}
    code = f"import sys, {module}; print(*(sys.modules.keys() & {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", f"import {module} imports {done.stdout.strip()}"
