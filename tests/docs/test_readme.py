"""The README's example runs, and prints what it says."""

import contextlib
import io
import re
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


if __name__ == "__main__":
    if printed_by_readme() != blocks(ROOT / "README.md", "text")[0]:
        raise SystemExit("the README's example prints something else than it says")
