"""The page on the spectrum runs as it stands; its assertions are its own."""

import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_spectrum_page_runs(tmp_path, monkeypatch):
    # rejects: a name or a claim that the page has and the package has not
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "spectrum.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    names = {"__name__": "spectrum"}
    for code in blocks:
        exec(compile(code, "spectrum.md", "exec"), names)
    plt.close("all")
    assert len(blocks) >= 8
