"""The page on ablations: its file is the example's."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "tutorials" / "ablation.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_the_file_on_the_page_is_the_example():
    example = tomllib.loads((ROOT / "examples" / "ablation" / "ring.toml").read_text(encoding="utf-8"))
    shown = tomllib.loads(blocks("toml")[0])
    assert {k: example[k] for k in shown} == shown
    assert f"{len((ROOT / 'examples' / 'ablation' / 'ring_gan.py').read_text().splitlines())} lines" in PAGE
