"""Rules that hold for the repository as a whole."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gamedyn
from gamedyn import games, losses, methods

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(p for folder in ("gamedyn", "analysis") for p in (ROOT / folder).rglob("*.py"))
PACKAGES = sorted(p.parent.name for p in (ROOT / "gamedyn").glob("[a-z]*/__init__.py"))
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".cfg", ".ini", ".sh", ".json", ".html", ""}


def tracked_files():
    """Tracked text files; outside of a checkout, everything but what was built."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        files = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        built = {"_build", "_generated", "out", "__pycache__", "build", "dist"}
        hidden = {
            f".{name}" for name in ("git", "venv", "mypy_cache", "ruff_cache", "import_linter_cache", "hypothesis")
        }
        files = [p for p in ROOT.rglob("*") if not (built | hidden) & set(p.relative_to(ROOT).parts)]
    return [p for p in files if p.is_file() and p.suffix in TEXT]


def relative(path):
    return str(path.relative_to(ROOT))


def imported(path):
    """Names of the modules that a file imports, at run time or for types."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_file_names_a_machine_or_a_registry():
    places = "|".join(("home", "root", "work", "opt", "Users"))
    hosts = "|".join(
        ("pypi" + r"\.org", "pytorch" + r"\.org/whl", "pythonhosted" + r"\.org", "index" + "-url", "find" + "-links")
    )
    pattern = re.compile(rf"(?<![\w.*/\])}}])/(?:{places})/|{hosts}")
    found = []
    for path in tracked_files():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{relative(path)}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


def test_constraints_pin_every_package_by_name_and_version():
    lines = [x for x in (ROOT / "constraints.txt").read_text().splitlines() if x and not x.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9][\w.-]*==[0-9][\w.]*", line) for line in lines)
    names = {line.split("==")[0].lower() for line in lines}
    assert "torchvision" not in names
    assert "gamedyn" not in names
    assert {"torch", "hatchling", "editables", "pytest", "ruff", "mypy", "import-linter", "sphinx"} <= names


def test_local_links_of_the_front_pages_exist():
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert target.startswith("https://") or (ROOT / target).exists(), f"{page}: {target}"


def as_if_all_were(name, folder):
    """The facts of one method for all of them: the build of the documentation computes each one's."""
    return dict.fromkeys(methods.members(), importlib.import_module("computed").facts(name, folder))


def test_the_catalogue_lists_every_member_with_both_orders_and_all_limits(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    importlib.import_module("catalogue").write(tmp_path, as_if_all_were("heun2", tmp_path))
    for page, package in (("methods", methods), ("losses", losses), ("games", games)):
        text = (tmp_path / f"{page}.md").read_text(encoding="utf-8")
        for name in package.names():
            assert f"`{name}`" in text or f"## {name}\n" in text, f"{page}: {name}"
        for member in package.members().values():
            assert all(f"`{alias}`" in text for alias in member.aliases)
    text = (tmp_path / "methods.md").read_text(encoding="utf-8")
    found = {m[1]: line for line in reversed(text.splitlines()) if (m := re.match(r"\| \[?`([^`]+)`", line))}
    cells = [c.strip() for c in found["heun2"].split("|")[1:-1]]
    assert cells[2:8] == ["2", "2", "2", "2.001", "0", "0.299107"]
    assert "1 / 1" in found["alternating"]
    assert {*methods.names(), *methods.maps()} <= set(found)


def test_slow_tests_are_those_of_the_list():
    # rejects: an entry that no test's name begins with any more, so that the test runs in every `make test`
    for entry in (ROOT / "tests" / "slow.txt").read_text(encoding="utf-8").splitlines():
        file, *names = entry.split("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert all(f" {name.split('[')[0]}(" in text or f"class {name}" in text for name in names), entry


def test_every_public_name_and_every_method_has_a_page(tmp_path, monkeypatch):
    # rejects: a name added to a package without a page; a page that two packages' names share, lost for one
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    reference = importlib.import_module("reference")
    pages = reference.pages()
    for package, names in reference.public().items():
        index = pages[f"api/{package}"]
        for x in names:
            (target,) = re.findall(rf"\[`{re.escape(x.name)}`\]\(([^)]+)\.md\)", index)
            assert f"# {x.name}\n" in pages[f"api/{target}"], x.path
            assert x.summary, x.path
    documented = {p.split(".")[1] for p in reference.packages() if "." in p}
    assert documented == {n for n in gamedyn.__all__ if inspect.ismodule(getattr(gamedyn, n))}
    importlib.import_module("method_pages").write(tmp_path, as_if_all_were("heun2", tmp_path), {})
    assert {p.stem for p in tmp_path.glob("*.md")} == set(methods.members())
    text = (tmp_path / "heun2.md").read_text(encoding="utf-8")
    for line in ("| real limit | 2 |", "| b | 1/2 | 1/2 |", "| imaginary limit | 0 |"):
        assert line in text


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_exist_and_are_documented(package):
    module = importlib.import_module(f"gamedyn.{package}")
    assert (module.__doc__ or "").strip()
    for name in module.__all__:
        member = getattr(module, name)
        if inspect.isclass(member) or inspect.isroutine(member) or isinstance(member, games.GameFamily):
            assert (inspect.getdoc(member) or "").strip(), f"gamedyn.{package}.{name}"


def test_top_level_names_exist():
    for name in gamedyn.__all__:
        assert getattr(gamedyn, name) is not None


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import gamedyn", ("torch", "numpy", "scipy", "matplotlib")),
        ("import gamedyn.methods", ("torch", "numpy", "scipy")),
        ("import gamedyn.stability", ("torch", "matplotlib")),
        ("import gamedyn.cli", ("torch", "matplotlib")),
    ],
)
def test_imports_stay_small(code, absent):
    check = f"{code}; import sys; sys.exit(', '.join(m for m in {absent!r} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["_lib", "methods", "stability", "plot"])
def test_theory_never_imports_torch(package):
    for path in (ROOT / "gamedyn" / package).rglob("*.py"):
        heavy = [name for name in imported(path) if name.split(".")[0] in ("torch", "torchdiffeq")]
        assert not heavy, relative(path)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_modules_are_short_and_documented(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 450
    assert ast.get_docstring(ast.parse(text)), "a module says what it holds"


def test_the_package_contains_no_assert():
    for path in (ROOT / "gamedyn").rglob("*.py"):
        asserts = [n.lineno for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Assert)]
        assert not asserts, f"{relative(path)}: lines {asserts}"


ORDER = ("path", "folder", "flow", "method", "state", "h", "batch")
"""Arguments that several functions take, in the order in which all of them do."""


@pytest.mark.parametrize("package", [p for p in PACKAGES if not p.startswith("_")])
def test_arguments_come_in_one_order(package):
    # rejects: a function that takes the batch before the state, or the state before the method
    module = importlib.import_module(f"gamedyn.{package}")
    for name in module.__all__:
        found = getattr(module, name)
        if inspect.isfunction(found):
            parameters = inspect.signature(found).parameters.items()
            named = [n for n, p in parameters if n in ORDER and p.kind is not p.KEYWORD_ONLY]
            assert named == sorted(named, key=ORDER.index), f"gamedyn.{package}.{name}({', '.join(named)})"
