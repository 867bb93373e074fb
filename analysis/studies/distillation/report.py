"""The report of `distillation`."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis.common.axes import plain_log
from analysis.common.claims import Claim, log_interval
from analysis.common.page import number, paragraph, table
from analysis.common.parts import Part
from analysis.common.study import Findings
from analysis.studies.distillation.game import image_setup, mixture_setup
from analysis.studies.distillation.measures import image_quality, mixture_quality, three_players, updating
from gamedyn.ablation import Grid

if TYPE_CHECKING:
    from analysis.common.study import Workplace

__all__ = ["write_report"]

DMD2 = "Yin et al. 2024 (DMD2)"
FLASH = "Chen et al. 2025 (Flash-DMD)"
NUMBERS = ("kl", "variation", "modes", "within", "preferred", "lag")

LIMITATIONS = (
    """A mixture in the plane, networks of some thousand parameters, one-step generators far from their end after so few
    evaluations; no anchors, no backward simulation.
    Flash-DMD's code was not public; the split, the pull and the preference are as its description has them.""",
    """The preference is a reward, the log probability of the rarest mode, added to the generator's loss: its weight
    is what k
    in an alternation of k : 1 sets. No pairs are drawn.""",
    """Equal evaluations: with a ratio of 5 in updates the generator has fewer steps, and the updates of a step share
    its batch,
    so that fewer samples are seen; DMD2 draws new ones. The reverse KL is estimated from
    nearest neighbours and has a floor of some hundredths.""",
    """The velocity of the generator leaves out its own derivative of the scores: it is no gradient, and its
    Jacobian is
    taken by differences of the field.""",
)


def write_report(settings: Any, work: Workplace) -> Findings:
    """The claims, the mixture, the spectrum, the images."""
    found = _mixture(settings, work)
    spectra = work.parts([Part(f"spectrum-{r}", three_players, {"ratio": r}) for r in _ends(settings)], settings)
    images = {i.data_set: _images(settings, i, work) for i in settings.images}
    rows = [s.figures for s in spectra.values()]
    body = [
        paragraph(f"""Four modes of weights 0.4, 0.3, 0.2 and 0.1, exact teacher; Adam in turn, rate {settings.h:g},
            batches of
            {settings.batch}, {settings.evaluations:,} evaluations, {settings.seeds} seeds. "updates": fake score and
            discriminator move so many times for one move of the generator; "rates": once, so many times as far."""),
        work.figure("ratios", _ratios(settings, found), RATIOS),
        _shown_table(found),
        work.figure("preference", _preference(found), PREFERENCE),
        "<h2>The spectrum of the three-player game</h2>",
        work.figure("spectrum", _spectrum(spectra), _spectrum_caption(rows)),
        table(
            [
                "ratio of rates",
                "leftmost",
                "rightmost",
                "largest imaginary part",
                "growing",
                *(f"{p}'s own leftmost" for p in rows[0]["own"]),
                *(f"{m}'s limit" for m in rows[0]["limits"]),
            ],
            [
                [
                    str(r["ratio"]),
                    *(number(r[k]) for k in ("leftmost", "rightmost", "turning")),
                    str(r["growing"]),
                    *(number(v) for v in r["own"].values()),
                    *(number(v) for v in r["limits"].values()),
                ]
                for r in rows
            ],
        ),
        *(part for name, t in images.items() for part in _image_part(name, t)),
    ]
    data = {
        "rows": found.to_dict("records"),
        "spectra": rows,
        "images": {k: t.to_dict("records") for k, t in images.items()},
    }
    return Findings(
        "Distillation as a game of three players", _claims(settings, found, rows, images), body, data, LIMITATIONS
    )


RATIOS = """Reverse KL and lag of the fake score over the ratio at which fake score and discriminator move: as
    updates (solid) and as
    rates (dashed), without the split by noise level (blue) and with it (orange). Means and 95 % intervals of the
    seeds, at
    equal evaluations."""
PREFERENCE = """Weight of the preferred mode (0.1 in the teacher) and reverse KL over the weight of the preference:
    look whether
    what is gained of the reward is paid in the distribution. Each point a seed."""


def _spectrum_caption(rows: Any) -> str:
    said = "; ".join(
        f"ratio {r['ratio']}: leftmost {number(r['leftmost'])}, "
        f"{', '.join(f'{m} up to {number(h)}' for m, h in r['limits'].items())}"
        for r in rows
    )
    return f"""Eigenvalues of the game with rates 1 (blue) and with the largest ratio (orange), and where the leftmost
        one and the largest stable steps are: {said}."""


def _ends(settings: Any) -> tuple[int, ...]:
    return tuple(dict.fromkeys((settings.ratios[0], settings.ratios[-1])))


def _mixture(settings: Any, work: Workplace) -> pd.DataFrame:
    same = {"width": settings.width, "batch": settings.batch, "adversarial": settings.adversarial, "h": settings.h}
    same["evaluations"] = settings.evaluations
    measure = {"end": partial(mixture_quality, count=settings.count)}
    one, seeds = {"1": updating(1)}, {"seed": range(settings.seeds)}
    parts = []
    for r in settings.ratios:
        split = {"split": (False, True), **seeds}
        grid = Grid(mixture_setup, {"method": {f"{r}": updating(r)}, **split}, ratio=float(r), **same)
        parts.append(work.ablation(f"updates_{r}", grid, measure).assign(part="updates", by=r))
        if r > 1:
            grid = Grid(mixture_setup, {"method": one, **split}, ratio=float(r), **same)
            parts.append(work.ablation(f"rates_{r}", grid, measure).assign(part="rates", by=r))
    grid = Grid(mixture_setup, {"method": one, "pull": settings.pulls[1:], **seeds}, **same)
    parts.append(work.ablation("pull", grid, measure).assign(part="pull", by=1, split=False))
    grid = Grid(mixture_setup, {"method": one, "preference": settings.preferences[1:], **seeds}, **same)
    parts.append(work.ablation("preference", grid, measure).assign(part="preference", by=1, split=False))
    parts = [p.assign(pull=p.get("pull", 0.0), preference=p.get("preference", 0.0)) for p in parts]
    return pd.concat(parts, ignore_index=True)


def _images(settings: Any, images: Any, work: Workplace) -> pd.DataFrame:
    parts = []
    for ratio, split, pull in images.arms:
        grid = Grid(
            image_setup,
            {"method": {f"{ratio}": updating(ratio)}, "seed": range(min(3, settings.seeds))},
            ratio=float(ratio),
            split=split,
            pull=pull,
            h=settings.h / 4,
            evaluations=images.evaluations,
            data_set=images.data_set,
            width=images.width,
            teacher_steps=images.teacher_steps,
            teacher_h=images.teacher_h,
            batch=images.batch,
            adversarial=settings.adversarial,
        )
        name = f"{images.data_set}_{ratio}_{'split' if split else 'whole'}_{pull:g}"
        parts.append(work.ablation(name, grid, {"end": partial(image_quality, count=settings.count)}, marks=(0.1, 1.0)))
    return pd.concat(parts, ignore_index=True)


def _cell(found: pd.DataFrame, part: str, by: int, **chosen: Any) -> pd.DataFrame:
    rows = found[(found["part"] == part) & (found["by"] == by)]
    for column, value in chosen.items():
        rows = rows[rows[column] == value]
    return rows.sort_values("seed")


def _over(one: pd.DataFrame, other: pd.DataFrame, name: str = "kl") -> tuple[float, float, float]:
    pairs = zip(one[f"end.{name}"], other[f"end.{name}"], strict=False)
    return log_interval([_held(a) / _held(b) for a, b in pairs])


def _held(value: float) -> float:
    """A measure within bounds: a run that failed counts as one far off."""
    return 100.0 if math.isnan(value) else min(max(value, 1e-3), 100.0)


def _claims(
    settings: Any, found: pd.DataFrame, rows: list[dict[str, Any]], images: dict[str, pd.DataFrame]
) -> list[Claim]:
    learned = [claim for name, t in images.items() for claim in _of_images(name, t)]
    return [*_of_mixture(settings, found, rows), *learned]


def _of_mixture(settings: Any, found: pd.DataFrame, rows: list[dict[str, Any]]) -> list[Claim]:
    top = settings.ratios[-1]
    plain = _cell(found, "updates", 1, split=False)
    many = _cell(found, "updates", top, split=False)
    halves = _cell(found, "updates", 1, split=True)
    pull = _cell(found, "pull", 1, pull=settings.pulls[-1])
    wish = _cell(found, "preference", 1, preference=settings.preferences[-1])
    first, last = rows[0], rows[-1]
    return [
        Claim(
            f"{top} updates of the fake score for one of the generator end at a smaller reverse KL than one, at equal "
            "evaluations (quotient).",
            *_over(many, plain),
            at_most=1.0,
            source=DMD2,
        ),
        Claim(
            f"With {top} updates the fake score lags less (quotient).",
            *_over(many, plain, "lag"),
            at_most=1.0,
            source=DMD2,
        ),
        Claim(
            f"With the split by noise level one update does as well as {top} without it (quotient of reverse KL).",
            *_over(halves, many),
            at_most=1.0,
            source=FLASH,
        ),
        Claim(
            "The split helps at one update (quotient of reverse KL).", *_over(halves, plain), at_most=1.0, source=FLASH
        ),
        Claim(
            f"A ratio of {top} is the same as updates and as rates, at equal evaluations (quotient of reverse KL, "
            "rates over "
            "updates).",
            *_over(_cell(found, "rates", top, split=False), many),
            at_least=0.8,
            at_most=1.25,
        ),
        Claim(
            "The pull of the fake score to the generator lessens its lag (quotient).",
            *_over(pull, plain, "lag"),
            at_most=1.0,
            source=FLASH,
        ),
        Claim(
            "The preference raises the weight of the preferred mode (quotient).",
            *_over(wish, plain, "preferred"),
            at_least=1.0,
            source=FLASH,
        ),
        Claim("It costs reverse KL (quotient).", *_over(wish, plain), at_least=1.0),
        Claim(
            f"A ratio of {top} of the rates takes explicit stability: Euler's limit with it over that at one rate.",
            last["limits"]["euler"] / max(first["limits"]["euler"], 1e-12),
            at_most=0.6,
        ),
    ]


def _of_images(name: str, found: pd.DataFrame) -> list[Claim]:
    ends = found[found["at"] == 1.0]
    arms = {key: rows.sort_values("seed") for key, rows in ends.groupby(["method", "split", "pull"], sort=False)}
    one, five, halved = (arms.get(key) for key in (("1", False, 0.0), ("5", False, 0.0), ("1", True, 0.0)))
    if one is None or five is None or halved is None:
        return []
    return [
        Claim(
            f"{name}, learned teacher: 5 updates end nearer the data than one (quotient of Frechet distances).",
            *_over(five, one, "frechet"),
            at_most=1.0,
            source=DMD2,
        ),
        Claim(
            f"{name}, learned teacher: the split helps at one update (quotient).",
            *_over(halved, one, "frechet"),
            at_most=1.0,
            source=FLASH,
        ),
    ]


def _shown_table(found: pd.DataFrame) -> str:
    rows = []
    keys = ["part", "by", "split", "pull", "preference"]
    for key, mine in found.groupby(keys, sort=False):
        row = [str(key[0]), str(key[1]), "yes" if key[2] else "no", f"{key[3]:g}", f"{key[4]:g}"]
        for n in NUMBERS:
            values = mine[f"end.{n}"].dropna()
            row.append(f"{values.mean():.3g} ({values.min():.3g} to {values.max():.3g})" if len(values) else "")
        rows.append([*row, str(int(mine["end.kl"].isna().sum()))])
    return table(["as", "ratio", "split", "pull", "preference", *NUMBERS, "failed"], rows)


def _image_part(name: str, t: pd.DataFrame) -> list[str]:
    rows = []
    for key, mine in t.groupby(["method", "split", "pull", "at"], sort=False):
        values = mine["end.frechet"].dropna()
        shown = f"{values.mean():.3g} ({values.min():.3g} to {values.max():.3g})" if len(values) else "failed"
        rows.append([str(key[0]), "yes" if key[1] else "no", f"{key[2]:g}", f"{key[3]:g}", shown])
    floor = float(t["end.floor"].dropna().iloc[0]) if t["end.floor"].notna().any() else math.nan
    words = f"Generator and fake score begin as the learned teacher; real samples get {floor:.3g}."
    return [
        f"<h2>{name}, a learned teacher</h2>",
        paragraph(words),
        table(["updates", "split", "pull", "share of the budget", "Frechet distance on pixels"], rows),
    ]


def _ratios(settings: Any, found: pd.DataFrame) -> Figure:
    fig = Figure(figsize=(9.0, 3.8), layout="constrained")
    for ax, name in zip(fig.subplots(1, 2), ("kl", "lag"), strict=True):
        for part, style in (("updates", "o-"), ("rates", "s--")):
            for split in (False, True):
                ratios = [r for r in settings.ratios if len(_cell(found, part, r, split=split))]
                points = [
                    log_interval([max(v, 1e-3) for v in _cell(found, part, r, split=split)[f"end.{name}"].dropna()])
                    for r in ratios
                ]
                middle = np.array([p[0] for p in points])
                ends = np.array([[p[0] - p[1], p[2] - p[0]] for p in points]).T
                ends = np.where(np.isfinite(ends), np.abs(ends), 0)
                at = np.array(ratios) * (1.03 if split else 0.97)
                label = f"{part}, {'split' if split else 'whole'}"
                ax.errorbar(at, middle, ends, fmt=style, color=f"C{int(split)}", ms=5, capsize=2, label=label)
        plain_log(ax)
        ax.set(xscale="log", xlabel="ratio to the generator")
        ax.set_xticks(settings.ratios, [str(r) for r in settings.ratios])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_ylabel({"kl": "reverse KL (nats)", "lag": "relative lag of the fake score"}[name])
    fig.axes[0].legend(fontsize=7)
    return fig


def _preference(found: pd.DataFrame) -> Figure:
    fig = Figure(figsize=(6.4, 3.6), layout="constrained")
    left = fig.subplots()
    right = left.twinx()
    mine = pd.concat([_cell(found, "updates", 1, split=False), found[found["part"] == "preference"]])
    left.plot(mine["preference"], mine["end.preferred"], "o", color="C0")
    right.plot(mine["preference"] + 0.01, mine["end.kl"], "s", color="C1")
    left.axhline(0.1, color="C0", lw=0.8, ls=":")
    left.set(xlabel="weight of the preference", ylim=(0, 1))
    left.set_ylabel("weight of the preferred mode", color="C0")
    right.set_ylabel("reverse KL (nats)", color="C1")
    return fig


def _spectrum(spectra: Any) -> Figure:
    fig = Figure(figsize=(6.4, 3.8), layout="constrained")
    ax = fig.subplots()
    for i, s in enumerate(spectra.values()):
        z = s.arrays["eigenvalues"]
        ax.plot(z.real, z.imag, "os"[i % 2], ms=3.5, color=f"C{i}", mfc="none", label=f"ratio {s.figures['ratio']}")
    ax.axvline(0, color="0.5", lw=0.8)
    ax.set_xscale("symlog", linthresh=0.1)
    ax.set_yscale("symlog", linthresh=0.1)
    ax.set(xlabel="real part", ylabel="imaginary part")
    ax.legend(fontsize=8)
    return fig
