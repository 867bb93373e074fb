"""Citations: every source in words has its entry, and entries are sound BibTeX."""

from __future__ import annotations

import inspect
import re

import pytest

import gamedyn as gd
from gamedyn import flows, games, losses, methods
from gamedyn.references import Reference, _meant, citation, mentions, references

EVERYTHING = [
    *methods.members().values(),
    *methods.maps().values(),
    *losses.members().values(),
    *games.members().values(),
]
MAKERS = [
    f
    for part in (flows, losses)
    for f in vars(part).values()
    if inspect.isfunction(f) and "Source:" in (f.__doc__ or "")
]


def keys(*used):
    return re.findall(r"^@\w+\{(\w+),", citation(*used), flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("thing", EVERYTHING, ids=lambda x: f"{type(x).__name__}:{x.name}")
def test_every_source_has_its_entry(thing):
    """Rejects: a member whose paper is not in references.bib, or is there under another year or surname."""
    meant = _meant(thing.source)
    for name, year in mentions(thing.source):
        first = [
            (e.fields.get("gamedyn", "").partition(" ")[0].rstrip(",") or e.surname, e.fields["year"]) for e in meant
        ]
        pattern = [f for f, published in first if published == year and re.match(f, name)]
        assert pattern, f"{thing.name}: {name} {year}"
    assert len(keys(thing)) == len(set(keys(thing)))


@pytest.mark.parametrize("maker", MAKERS, ids=lambda f: f.__name__)
def test_flows_and_penalties_are_cited_by_their_makers(maker):
    assert keys(maker)


def test_flows_say_what_they_are_made_of():
    """Rejects: an inner flow, a penalty or the game's family left out."""
    inner = flows.gradient(games.dirac_gan()).with_term(losses.squared_gradient(0.1))
    assert keys(flows.consensus(inner, 0.1)) == ["mescheder2017", "qin2020", "mescheder2018"]
    adam = flows.adam(inner, a1=1.0, a2=1.0)
    assert keys(adam)[:2] == ["dasilva2020", "barakat2021"]
    assert "tuyls2003" in keys(flows.replicator([[0.0, 1.0], [1.0, 0.0]], temperature=1.0))
    p = inner.initial_state().y[:1]
    frozen = flows.preconditioned(inner, dict.fromkeys(inner.game.players, 1.0 + 0 * p))
    made = (flows.symplectic_adjustment(inner), flows.drift_cancelled(inner, 0.1), frozen)
    for flow, first in zip(made, ("balduzzi2018", "rosca2021", "cohen2022"), strict=True):
        assert keys(flow)[0] == first
    own = gd.Game({"x": p}, lambda x: {"x": (x**2).sum()})
    assert keys(flows.gradient(own), "euler") == ["euler1768"]  # a game of one's own has no source


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (["rk4", "rk4"], ["kutta1901", "hnw1"]),
        (["kg52"], ["kinnmark1984a"]),  # two papers of one year: told apart by their pages
        (["kg64"], ["kinnmark1984b"]),
        (["tandem"], ["letcher2019b"]),  # ... or by their titles
        (["torchdiffeq:dopri5", "scipy:Radau", "torch.optim:Adam"], ["chen2018", "virtanen2020", "paszke2019"]),
        (["hinge"], ["lim2017", "miyato2018"]),
        ([losses.r1(1.0)], ["mescheder2018"]),
        (["eag", "feg", "slingshot"], ["yoon2021", "lee2021", "shugart2025"]),
        ([], []),
    ],
)
def test_known_citations(used, expected):
    assert keys(*used) == expected


def test_entries_are_sound():
    """Rejects: an entry that is cut by a brace, lacks what its kind needs, or is never named."""
    needed = {"article": "journal", "inproceedings": "booktitle", "book": "publisher", "techreport": "institution"}
    for key, entry in references().items():
        assert {"author", "title", "year", needed[entry.kind]} <= set(entry.fields), key
        text = str(entry)
        assert text.count("{") == text.count("}")
        assert "gamedyn" not in text
        if "gamedyn" not in entry.fields:
            assert re.fullmatch(rf"{re.sub(r'[^a-z]', '', entry.surname.lower())}{entry.fields['year']}[ab]?", key), key
    named = {e.key for x in EVERYTHING for e in _meant(x.source)}
    named |= {k for f in MAKERS for k in keys(f)} | set(keys("torchdiffeq:rk4", "scipy:RK45", "torch.optim:SGD"))
    named |= set(keys(methods.double_step_extragradient))
    assert set(references()) == named | {"hlw"}
    assert isinstance(references()["hlw"], Reference)


def test_what_cannot_be_cited():
    with pytest.raises(gd.UnknownNameError, match="rk4"):
        citation("rk44")
    with pytest.raises(gd.UnknownNameError, match="scipy:NDF"):
        citation("scipy:nosuch")
    for thing in (3, object(), len):
        with pytest.raises(gd.ArgumentError, match="used"):
            citation(thing)
