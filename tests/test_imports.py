"""The house's rules that can be read off the source: import directions, a light `import crossbit`, no pickle."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "crossbit"

# A module imports from its own layer and the layers before it.
LAYERS = [
    {"errors", "registry", "storage", "bits", "posterior", "jobs"},
    {"data", "evaluation", "index", "networks"},
    {"features", "runs"},
    {"methods"},
    {"model"},
    {"training", "search", "audit"},
    {"bench", "demo", "serve", "export"},
    {"cli", "__main__"},
]
# These serve anyone's codes, so they know nothing beyond arrays and bits.
ARRAYS_ONLY = {"evaluation", "index"}
HEAVY = ["torch", "numba", "sklearn", "skimage", "matplotlib", "duckdb", "scipy", "pandas", "numpy"]
PICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
PICKLING_CALLS = {"torch.load", "torch.save", "read_pickle", "to_pickle"}

Found = tuple[int, str]  # line, what was found there


def sources() -> Iterator[tuple[str, Path]]:
    """Every module of the package as (dotted name, path), packages with their `__init__` spelled out."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield ".".join(("crossbit", *path.relative_to(SOURCE).with_suffix("").parts)), path


def layer(part: str) -> int | None:
    return next((number for number, parts in enumerate(LAYERS) if part in parts), None)


def imported(tree: ast.AST, module: str) -> Iterator[Found]:
    """Names of crossbit's modules that `module` imports: at the top, in functions, for types, by `import_module`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom():
                base = resolve_name("." * node.level + (node.module or ""), module.rpartition(".")[0])
                names = [f"{base}.{alias.name}" for alias in node.names]
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if ast.unparse(node.func).endswith("import_module"):
                names = [name]
            case _:
                continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "crossbit")


def wrong_arrows(code: str, module: str) -> list[str]:
    """What `code`, standing in `module`, imports against the direction; `module` as from `sources`."""
    importer = module.split(".")[1]
    if importer == "__init__":
        return [f"{module}:{line} imports {name} at once" for line, name in eager(ast.parse(code), module)]
    if layer(importer) is None:
        return [f"{module} has no place in LAYERS"]
    arrows = [(line, name, [*name.split("."), ""][1]) for line, name in imported(ast.parse(code), module)]
    return [f"{module}:{line} imports {name}" for line, name, part in arrows if not allowed(importer, part)]


def allowed(importer: str, part: str) -> bool:
    """Whether a module in `importer` may import `crossbit.<part>`."""
    if part == importer:
        return True
    if (depth := layer(part)) is None:  # a public name of the package: only for those that use crossbit as its users do
        return part == "__version__" or importer in LAYERS[-1]
    return depth == 0 if importer in ARRAYS_ONLY else depth <= (layer(importer) or 0)


def eager(tree: ast.Module, module: str) -> Iterator[Found]:
    """Crossbit's modules imported while the package itself is: not in a function, not for types alone."""
    for statement in tree.body:
        for_types = isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
        if not for_types and not isinstance(statement, ast.FunctionDef):
            yield from imported(statement, module)


def pickling(code: str) -> list[str]:
    """Every place in `code` that could read or write a pickle; naming pickle's errors, to catch them, is allowed."""
    return [ast.unparse(node) for node in ast.walk(ast.parse(code)) if pickles(node)]


def pickles(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return any(name.name.split(".")[0] in PICKLERS and ast.unparse(name) != "pickle" for name in names)
        case ast.ImportFrom(module=str(module), names=names):
            return module.split(".")[0] in PICKLERS and not all(name.name.endswith("Error") for name in names)
        case ast.Attribute(value=ast.Name(id="pickle"), attr=attr):
            return not attr.endswith("Error")
        case ast.Attribute(attr=attr):
            return ast.unparse(node) in PICKLING_CALLS or attr in PICKLING_CALLS
        case ast.keyword(arg="allow_pickle", value=value):
            return ast.unparse(value) != "False"
        case _:
            return False


@pytest.mark.slow
def test_imports_run_one_way() -> None:
    complaints = [line for module, path in sources() for line in wrong_arrows(path.read_text(encoding="utf-8"), module)]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("crossbit.bits", "import crossbit.data"),
        ("crossbit.bits", "import numpy, crossbit.evaluation.metrics"),
        ("crossbit.evaluation.report", "from crossbit.model import Model"),
        ("crossbit.evaluation.report", "from crossbit.data.types import PairedData"),
        ("crossbit.index.local", "from crossbit.training import train"),
        ("crossbit.methods.nrch", "def late():\n    from crossbit.training import train"),
        ("crossbit.methods.nrch", "from crossbit import training"),
        ("crossbit.methods.nrch", "from crossbit import load_model"),
        ("crossbit.methods.nrch", "from ..training import train"),
        ("crossbit.methods.__init__", "from .. import training"),
        ("crossbit.methods.nrch", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import crossbit.model"),
        ("crossbit.features.hog", "from importlib import import_module\nimport_module('crossbit.methods')"),
        ("crossbit.training", "import crossbit"),
        ("crossbit.training", "from crossbit.cli import main"),
        ("crossbit.somewhere", "import numpy"),
        ("crossbit.__init__", "from crossbit.model import Model"),
        ("crossbit.__init__", "try:\n    from .model import Model\nexcept ImportError:\n    pass"),
    ],
)
def test_a_wrong_arrow_is_found(module: str, code: str) -> None:
    assert len(wrong_arrows(code, module)) == 1


@pytest.mark.parametrize(
    ("module", "code"),
    [
        (
            "crossbit.evaluation.report",
            "from crossbit.bits import top_k\nfrom crossbit.errors import UserError\nfrom . import metrics",
        ),
        (
            "crossbit.data.neutral",
            "from .types import PairedData\nfrom ..storage.files import writing\nimport crossbitter",
        ),
        ("crossbit.training", "from crossbit import __version__, evaluation, model\nimport crossbit.methods.nrch"),
        ("crossbit.cli", "import crossbit\nfrom crossbit import load_data\nfrom crossbit.demo import run"),
        (
            "crossbit.__init__",
            "if TYPE_CHECKING:\n    from crossbit.model import Model\ndef f():\n    import crossbit.model",
        ),
    ],
)
def test_a_right_arrow_passes(module: str, code: str) -> None:
    assert wrong_arrows(code, module) == []


def test_every_part_has_one_layer() -> None:
    parts = {module.split(".")[1] for module, _ in sources()} - {"__init__"}
    assert {part: sum(part in names for names in LAYERS) for part in parts} == dict.fromkeys(parts, 1)


def test_importing_crossbit_loads_nothing_heavy() -> None:
    code = f"import crossbit, sys; print(sorted(set({HEAVY}) & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


@pytest.mark.slow
def test_no_pickle() -> None:
    found = {module: places for module, path in sources() if (places := pickling(path.read_text(encoding="utf-8")))}
    assert found == {"crossbit.storage.weights": ["torch.load"]}  # PyTorch's own files of weights, and nothing else


def test_weights_are_read_without_running_code() -> None:
    tree = ast.parse((SOURCE / "storage" / "weights.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"]
    assert [[ast.unparse(option) for option in call.keywords if option.arg == "weights_only"] for call in calls] == [
        ["weights_only=True"]
    ]


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\npickle.loads(b)",
        "import pickle as p",
        "import os, dill as d",
        "def f():\n    from pickle import loads",
        "from joblib import load",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=trust)",
        "torch.load(path, weights_only=True)",
        "torch.save(model, path)",
        "frame.to_pickle(path)",
    ],
)
def test_pickle_is_found(code: str) -> None:
    assert len(pickling(code)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\ntry:\n    f()\nexcept pickle.UnpicklingError:\n    pass",
        "from pickle import PickleError",
        "np.load(path, allow_pickle=False)",
        "import json\njson.load(file)\nfabric.load(path)\nsafetensors.torch.load_file(path)",
    ],
)
def test_reading_without_pickle_passes(code: str) -> None:
    assert pickling(code) == []


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, "1000 None"),
        ({"GOMP_SPINCOUNT": "7"}, "7 None"),
        ({"OMP_WAIT_POLICY": "active"}, "None active"),
    ],
)
def test_idle_threads_spin_briefly_unless_the_user_says_otherwise(given: dict[str, str], seen: str) -> None:
    code = "import os, crossbit; print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY'))"
    plain = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=plain | given)
    assert ran.stdout.strip() == seen


@pytest.mark.slow
def test_threads_are_set_before_torch_is_imported() -> None:
    code = (
        "import sys, crossbit, os; before = 'torch' in sys.modules; set_ = 'GOMP_SPINCOUNT' in os.environ;"
        "from crossbit.training import train; print(before, set_, 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False True True"
