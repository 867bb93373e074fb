"""Every page with code runs from top to bottom and prints what it shows; so do the pages of methods."""

import contextlib
import importlib.util
import io
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from gamedyn import methods
from gamedyn.ablation import read_ablation
from gamedyn.training import read_config

DOCS = Path(__file__).resolve().parents[2] / "docs"
SPEC = importlib.util.spec_from_file_location("docs_execute", DOCS / "execute.py")
execute = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(execute)
PAGES = {p.relative_to(DOCS).as_posix(): p for p in execute.pages()}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_and_prints_what_it_shows(name):
    # rejects: a name, a claim, a printed figure or a command that the page has and the package has not
    execute.executed(PAGES[name])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_with_what_its_output_was_made(name):
    assert execute.FOOT.search(PAGES[name].read_text("utf-8")), f"run: python docs/execute.py docs/{name}"


def test_every_block_of_code_is_one_that_runs():
    # rejects: Python in a fence of another name, which nothing runs
    for page in DOCS.rglob("*.md"):
        if not page.relative_to(DOCS).parts[0].startswith("_"):
            text = page.read_text("utf-8")
            assert not any(f"```{word}\n" in text for word in ("py", "pycon", "ipython")), page
            fences = text.count("```python\n") + text.count("```console\n")
            assert fences == len(execute.blocks(text)), page


def test_pages_differ_that_show_something_else(tmp_path):
    # rejects: a comparison that lets any output pass
    def shown(output):
        page = tmp_path / "page.md"
        page.write_text(f"# Page\n\n```python\nprint('a', 0.12345, 7)\n```\n\n```text\n{output}\n```\n", "utf-8")
        return page

    execute.executed(shown("a 0.1234 7"))
    execute.executed(shown("a ..."))
    for wrong in ("b 0.12345 7", "a 0.12345 8", "a 0.22345 7", "a 0.12345", "a 0.12345 7 more"):
        with pytest.raises(AssertionError, match="prints"):
            execute.executed(shown(wrong))


def test_digits_past_the_tenth_are_not_compared():
    # rejects: a page that fails where a sum is rounded in another order; a comparison of fewer digits than ten
    assert execute.agree("0.4774044180042047", "0.4774044180042026")
    assert not execute.agree("0.4774044180042047", "0.4774044190042047")


def test_numbers_beside_what_may_be_anything_are_compared():
    # rejects: a line with `...` whose numbers are compared as text (a machine rounds otherwise), or not at all
    shown = "cycle 6.851346054387461 [...]\n0.27840312158126657 0.21"
    assert execute.agree(shown, "cycle 6.851346054387458 [7.77e-07+0.j]\n0.2784031215812767   0.21")
    assert not execute.agree(shown, "cycle 6.851346054387458 [7.77e-07+0.j]\n0.2784031215812767 0.31")
    assert execute.agree("[0.+0.j 0.+0.5774j]", "[ 0.+0.j    -0.+0.5774j]")


def test_what_a_page_prints_is_written(tmp_path):
    # rejects: a page whose prose is lost when its output is written anew; a foot that is written twice
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nx = 2\nprint(x)\n```\n\nProse.\n\n```python\ny = 3\n```\n", "utf-8")
    for _ in range(2):
        execute.executed(page, write=True)
        text = page.read_text("utf-8")
        assert "print(x)\n```\n\n```text\n2\n```\n\nProse.\n\n```python\ny = 3\n```\n\n---\n" in text
        assert text.count("Run in") == 1
    execute.executed(page)


@pytest.mark.filterwarnings("ignore::gamedyn.stability.StabilityWarning")  # bdf5 and bdf6 have unstable bands
@pytest.mark.parametrize("name", methods.members())
def test_the_block_of_a_methods_page_runs(name, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    use = importlib.import_module("method_pages").USE.format(name=name)
    names = {"__name__": "page"}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(use.removeprefix("```python\n").removesuffix("```\n"), name, "exec"), names)
    assert names["run"].status == "done"


def test_a_configuration_on_a_page_is_one(tmp_path):
    # rejects: a section or a key that a page has and `gamedyn train`, or `gamedyn ablate`, has not
    ablations = DOCS.parent / "examples" / "ablation"
    shutil.copy(ablations / "ring_gan.py", tmp_path)
    ring = (ablations / "ring.toml").read_text("utf-8")
    whole = tomllib.loads((DOCS.parent / "examples" / "digits.toml").read_text("utf-8"))
    found = 0
    for page in DOCS.rglob("*.md"):
        if page.relative_to(DOCS).parts[0].startswith("_"):
            continue
        for block in re.findall(r"^```toml\n(.*?)^```$", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE):
            shown = tomllib.loads(block)
            if {"setup", "factors", "beside"} & set(shown):
                text = block if "setup" in shown else f"{ring}\n{block}"
                (tmp_path / "page.toml").write_text(text, "utf-8")
                read_ablation(tmp_path / "page.toml")
            else:
                read_config({**whole, **shown})
            found += 1
    assert found >= 4
