"""The README's example and the tutorial run, and print what the pages say they print."""

import contextlib
import io
import re
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def printed_by_readme():
    (code,) = blocks(ROOT / "README.md", "python")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    return out.getvalue()


def test_readme_example_prints_what_it_says():
    assert printed_by_readme() == blocks(ROOT / "README.md", "text")[0]


def test_readme_example_is_about_ten_lines():
    (code,) = blocks(ROOT / "README.md", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_readme_introduces_itself_in_ten_lines():
    about = (ROOT / "README.md").read_text(encoding="utf-8").split("## ")[0]
    assert len([line for line in about.splitlines()[1:] if line.strip()]) <= 10


def test_tutorial_prints_what_its_page_says(capsys):
    names = runpy.run_path(str(ROOT / "docs" / "tutorial.py"))
    printed = capsys.readouterr().out
    for block in blocks(ROOT / "docs" / "tutorial.md", "text"):
        assert block in printed
    assert set(names["radius"]) == set(names["METHODS"])
    for below, at, above in names["radius"].values():
        assert below < 1 - 1e-3
        assert abs(at - 1) < 1e-6
        assert above > 1 + 1e-3
    assert names["distance"][0.95] < 0.1
    assert names["distance"][1.05] > 10


def test_the_training_page_runs(tmp_path, monkeypatch):
    """Block after block, in an empty folder; the resumed run is whole and the modules come back in training mode."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "training"}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for code in blocks(ROOT / "docs" / "training.md", "python"):
            exec(compile(code, "training.md", "exec"), names)
    assert out.getvalue().startswith("done 100 200.0 torch.Size([100])")
    assert names["generator"].training
    assert names["samples"].shape == (4, 64)
    assert set(names["many"].status) == {"done"}


if __name__ == "__main__":
    if printed_by_readme() != blocks(ROOT / "README.md", "text")[0]:
        raise SystemExit("the README's example prints something else than it says")
