"""The page on choosing a method names every family."""

import re
from pathlib import Path

from gamedyn import methods

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "choosing.md"


def blocks(language="python"):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def test_every_family_has_an_example():
    # rejects: a family that is added without a line on the page
    text = "\n".join(blocks())
    named = {w for w in re.findall(r'"([\w.:]+)"', text) if ":" not in w}
    members = {**methods.members(), **methods.maps()}
    shown = {type(members[w]).__name__ for w in named if w in members}
    shown |= {w for w in ("Lookahead", "RungeKutta") if f"methods.{w}(" in text}
    everywhere = {type(m).__name__ for m in members.values()}
    assert shown == everywhere
