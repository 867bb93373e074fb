"""The pages on the spectrum and on what is held run as they stand; their assertions are their own."""

import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(("name", "least"), [("spectrum", 8), ("holding", 3), ("runs", 9), ("theory/noise", 4)])
def test_the_page_runs(name, least, tmp_path, monkeypatch):
    # rejects: a name or a claim that the page has and the package has not
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    names = {"__name__": name}
    for code in blocks:
        exec(compile(code, f"{name}.md", "exec"), names)
    plt.close("all")
    assert len(blocks) >= least
