"""The laws of the design that a machine can watch: which file imports which, how long files and functions are."""
import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(p for folder in ("minicnn", "lectures", "tools", "homework") for p in (ROOT / folder).rglob("*.py"))
# Rooms from the ground up: a file may import from its own row and the rows above.
ROWS = [["errors", "jit", "files", "simd", "checks", "device", "simulator", "drawing"],
        ["tape", "backend", "images", "loop", "embed", "optim"], ["tensor"], ["ops", "gradcheck"], ["nn"], ["receptive_field"],
        ["nets"], ["weights", "formats", "layer_names"], ["convert", "data", "training", "trace"],
        ["visualize", "art", "fool"], ["minicnn"], ["homework"], ["tools", "lectures"]]
LEVEL = {room: level for level, row in enumerate(ROWS) for room in row}
ONLY = {"errors": set(), "jit": set(), "files": set(), "images": {"errors", "jit", "files"},
        "loop": {"errors", "jit", "files", "checks"},
        "embed": {"errors", "jit", "files", "simd", "loop", "checks", "device", "backend"}}


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def room(parts):
    return parts[0] if parts[0] != "minicnn" or len(parts) == 1 else parts[1]


def imports(path):
    """Yield (line number, room imported, whether inside a function) of a file's imports of ours."""
    package = path.relative_to(ROOT).parent.parts
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {n for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = list(package[:len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            names = [base + [a.name] for a in node.names] if base in ([], ["minicnn"]) else [base]
        elif isinstance(node, ast.Import):
            names = [a.name.split(".") for a in node.names]
        else:
            continue
        for name in names:
            if name[0] in ("minicnn", "tools", "lectures", "homework"):
                if name[0] == "minicnn" and len(name) > 1 and room(name) not in LEVEL:
                    name = ["minicnn"]          # a name, not a module, of the package
                yield node.lineno, room(name), node in inner


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    here = room(module_of(path))
    for line, there, inside in imports(path):
        if here == "tensor" and there == "ops" and inside:
            continue            # Tensor's operators, the one exception
        assert LEVEL[there] <= LEVEL[here], f"{path.name}:{line}: {here} imports {there}, which stands above it"
        assert here not in ONLY or there == here or there in ONLY[here], f"{path.name}:{line}: {here} may not import {there}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400, f"{path.name} has {len(text.splitlines())} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= 41, f"{path.name}: {node.name} has {length} lines"
            if node.name.endswith(("_ref", "_cpu", "_cuda", "_kernel")):
                assert len(node.args.args) <= 8, f"{path.name}: kernel {node.name} has {len(node.args.args)} parameters"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_magic(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("exec", "eval", "setattr"), f"{path.name}:{node.lineno}: {node.func.id}"
        if isinstance(node, ast.ImportFrom):
            assert all(a.name != "*" for a in node.names), f"{path.name}:{node.lineno}: import *"
        if isinstance(node, ast.ClassDef):
            assert not any(k.arg == "metaclass" for k in node.keywords), f"{path.name}:{node.lineno}: metaclass"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_public_has_a_docstring(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            is_op = isinstance(node, ast.ClassDef) and any(getattr(b, "id", "") == "Op" for b in node.bases)
            thin = len(node.body) == 1 and isinstance(node.body[0], ast.Return)
            kernel = node.name.endswith(("_ref", "_cpu", "_cuda"))      # the formula stands at the head of the op's file
            interface = node.name in ("main", "compute", "draw", "check") or (
                path.parent.name == "homework" and isinstance(node, ast.FunctionDef))       # what a task is stands in its Task
            assert ast.get_docstring(node) or is_op or thin or kernel or interface, f"{path.name}: {node.name} has no docstring"


def test_import_is_fast_silent_and_compiles_nothing():
    code = "import time; t = time.process_time(); import minicnn; print(time.process_time() - t)"
    times = []
    for _ in range(5):
        result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert result.stderr == "" and len(result.stdout.splitlines()) == 1
        times.append(float(result.stdout))
    assert min(times) < 1.0, f"import minicnn took {min(times):.2f} s at best"
    start = time.perf_counter()
    code = ("import minicnn, sys; assert not {'torch', 'matplotlib', 'h5py', 'tqdm'} & set(sys.modules); "
            "from minicnn.jit import jit; import gc; kernels = [o for o in gc.get_objects() if isinstance(o, jit)]; "
            "assert len(kernels) > 20 and all(k._compiled is None for k in kernels)")
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert time.perf_counter() - start < 10
