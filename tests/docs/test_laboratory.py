"""The page on the stability laboratory runs as it stands; its assertions are its own."""

import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_laboratory_page_runs(tmp_path, monkeypatch):
    # rejects: a name or a claim that the page has and the package has not
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "laboratory.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    names = {"__name__": "laboratory"}
    for code in blocks:
        exec(compile(code, "laboratory.md", "exec"), names)
    plt.close("all")
    assert len(blocks) > 6
    assert (tmp_path / "laboratory.png").stat().st_size > 10_000
    assert "//" not in re.sub(
        r"<script.*?</script>|<style.*?</style>", "", (tmp_path / "explorer.html").read_text("utf-8"), flags=re.S
    )


def test_the_analysts_page_runs(tmp_path, monkeypatch):
    # rejects: a name or a claim that the page has and the package has not
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "analyst.md").read_text(encoding="utf-8")
    names = {"__name__": "analyst"}
    for code in re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE):
        exec(compile(code, "analyst.md", "exec"), names)
    assert names["again"].players == ("G", "D")
    assert names["made"].per_evaluation > names["ranking"]["rk4"].rate
