"""The page on training from a file: its file is read, its tables name what there is."""

import re
import tomllib
from pathlib import Path

from gamedyn.training import build, data, models, read_config, scores
from gamedyn.training.scores.scorer import FEATURES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "howto" / "configuration.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_the_file_on_the_page_is_one():
    parts = build(read_config(tomllib.loads(blocks("toml")[0])))
    assert parts.pair.sizes == {"G": 3712, "D": 3169}


def test_tables_name_everything_there_is():
    # rejects: a data set, an architecture or a measure without a line
    named = set(re.findall(r"`([a-z_0-9]+)`", PAGE))
    for registry in (data, models, scores):
        assert set(registry.names()) <= named
    assert set(FEATURES) <= named
    examples = {p.name for p in (Path(__file__).resolve().parents[2] / "examples").glob("*.toml")}
    assert examples == set(re.findall(r"^\| `(\w+\.toml)`", PAGE, flags=re.MULTILINE))
