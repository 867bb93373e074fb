"""The page on choosing a method runs as it stands, and prints what its comments say."""

import contextlib
import io
import re
from pathlib import Path

import torch

from gamedyn import methods

PAGE = Path(__file__).resolve().parents[2] / "docs" / "choosing.md"


def blocks(language="python"):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def test_the_choosing_page_runs(tmp_path, monkeypatch):
    # rejects: a name, an option or a printed figure that the page has and the package has not
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "choosing"}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for code in blocks():
            exec(compile(code, "choosing.md", "exec"), names)
    printed = out.getvalue().splitlines()
    assert "\n".join(printed[-6:]) + "\n" == blocks("text")[0]
    assert printed[0] == "done 80.0"
    assert printed[1:4] == ["kg52 4", "ck54 4", "ndb124 4"]
    assert names["fits"] == ["ck54", "kg52", "kg72", "ndb124"]
    assert names["mine"].order == 3
    assert names["lin"].complete
    assert all(torch.equal(p, q) for p, q in zip(names["generator"].parameters(), remade(names), strict=True))


def remade(names):
    """The generator's parameters as they were made: nothing on the page may have moved them."""
    draw = torch.Generator().manual_seed(0)
    torch.randn(512, 2, generator=draw)
    return list(names["gd"].games.mlp((2, 8, 2), generator=draw).parameters())


def test_every_family_has_an_example():
    # rejects: a family that is added without a line on the page
    text = "\n".join(blocks())
    named = {w for w in re.findall(r'"([\w.:]+)"', text) if ":" not in w}
    members = {**methods.members(), **methods.maps()}
    shown = {type(members[w]).__name__ for w in named if w in members}
    shown |= {w for w in ("Lookahead", "RungeKutta") if f"methods.{w}(" in text}
    everywhere = {type(m).__name__ for m in members.values()}
    assert shown == everywhere
