"""The page on loops of one's own runs, before and after."""

import contextlib
import io
import re
from pathlib import Path

import torch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "optimizer.md"


def test_the_optimizer_page_runs():
    # rejects: a page whose loops fail, or whose second loop does not learn
    before, after, made = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    names = {"__name__": "optimizer"}
    with torch.random.fork_rng(), contextlib.redirect_stdout(io.StringIO()) as out:
        torch.set_rng_state(torch.Generator().manual_seed(0).get_state())
        exec(compile(before, "optimizer.md", "exec"), names)
        exec(compile(after, "optimizer.md", "exec"), names)
        exec(compile(made, "optimizer.md", "exec"), names)
    first, second = out.getvalue().splitlines()
    assert re.fullmatch(r"Adam: \d+ modes", first)
    assert int(re.fullmatch(r"rk4: (\d+) modes", second)[1]) >= 12  # a network that did not learn has at most a few
    assert names["optimizer"].steps == 300
    assert all(abs(group["lr"] - 0.2) < 1e-12 for group in names["optimizer"].param_groups)
    assert set(names["losses"]) == {"G", "D"}
    assert names["lazy"].steps == 4
    assert max(float(p.detach().abs().max()) for p in names["D"].parameters()) <= 2.0
