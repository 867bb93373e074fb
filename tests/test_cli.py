"""The command line, run as such."""

import json
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import scipy.sparse

import gamedyn
from gamedyn import methods, stability
from gamedyn.cli import main


def started(*arguments, **how):
    return subprocess.Popen(
        [sys.executable, "-m", "gamedyn", *arguments], stderr=subprocess.PIPE, **{"stdout": subprocess.PIPE, **how}
    )


def test_the_table(capsys):
    assert main(["methods", "--wide"]) == 0
    assert capsys.readouterr().out == f"{methods.table()}\n"
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(methods.table())
    assert max(map(len, lines)) <= 90


def test_json_of_a_family(capsys):
    assert main(["methods", "--json", "--family", "ExponentialRosenbrock"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {r["name"]: r["embedded"] for r in rows} == {"exponential_rosenbrock_euler": None, "exprb32": 2}


def test_an_unknown_family(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["methods", "--family", "rk"])
    assert caught.value.code == 2
    assert "families: AdditiveRungeKutta, " in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("methods",), ("methods", "--json")])
def test_nobody_reads(arguments):
    # rejects: a traceback, or "Exception ignored" at exit, for a pipe whose reader has gone before
    reader, writer = os.pipe()
    os.close(reader)
    run = started(*arguments, stdout=writer)
    os.close(writer)
    assert run.communicate(timeout=60)[1] == b""
    assert run.returncode == 1


def test_a_reader_that_has_seen_enough():
    # more than a pipe holds: the writer is still at it when the reader leaves; rejects: the same as above
    run = started("methods", "--json")
    assert run.stdout.readline() == b"[\n"
    run.stdout.close()
    assert run.stderr.read() == b""
    run.stderr.close()
    assert run.wait(timeout=60) in (0, 1)  # 0 where the pipe held it all


class TestStability:
    def test_sheets(self, capsys):
        assert main(["stability", "bdf3", "rk4"]) == 0
        out = capsys.readouterr().out
        assert "bdf3 (LinearMultistep)" in out
        assert "86.0323668" in out
        assert "rk4 (RungeKutta)" in out

    def test_json(self, capsys):
        assert main(["stability", "gauss4", "--json"]) == 0
        (sheet,) = json.loads(capsys.readouterr().out)
        assert (sheet["name"], sheet["A-stable"], sheet["real limit"]) == ("gauss4", True, "inf")

    def test_an_unknown_method_is_named(self, capsys):
        assert main(["stability", "rk44"]) == 2
        assert "did you mean 'rk4'" in capsys.readouterr().err


class TestVerify:
    def test_a_sound_method_and_a_faulty_file(self, capsys, tmp_path):
        # rejects: a status of 0 for a fault
        assert main(["verify", "heun2"]) == 0
        file = tmp_path / "mine.json"
        file.write_text(json.dumps({"A": [[], [1]], "b": [0.5, 0.5], "c": [0, 0.5], "order": 2}))
        assert main(["verify", "heun2", str(file)]) == 1
        out = capsys.readouterr().out
        assert "mine: 2 faults" in out
        assert main(["verify", str(file), "--json"]) == 1
        (report,) = json.loads(capsys.readouterr().out)
        assert report["sound"] is False

    @pytest.mark.parametrize("text", ["[1, 2]", "{", None])
    def test_a_bad_file(self, capsys, tmp_path, text):
        file = tmp_path / "mine.json"
        if text is not None:
            file.write_text(text)
        assert main(["verify", str(file)]) == 2
        assert "subject: expected a JSON" in capsys.readouterr().err


class TestSpectrumCommands:
    @pytest.fixture
    def spectrum(self, tmp_path):
        stability.save_spectrum(tmp_path / "s.json", np.array([-0.01 + 2j, -0.01 - 2j]), game="rotation")
        return str(tmp_path / "s.json")

    def test_rank(self, capsys, spectrum):
        assert main(["rank", "--spectrum", spectrum, "euler", "rk4", "kg52"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines[1:4]] == ["kg52", "rk4", "euler"]
        assert main(["rank", "--spectrum", spectrum, "--cost", "memory", "--json", "rk4", "kg52"]) == 0
        assert json.loads(capsys.readouterr().out)["rows"][0]["name"] == "kg52"
        assert main(["rank", "--spectrum", spectrum, "--top", "2"]) == 0
        text = capsys.readouterr().out
        best, second = stability.rank_methods(stability.load_spectrum(spectrum))[:2]
        ranked = [line.split()[0] for line in text.splitlines()[1:3]]
        assert ranked == [best.name, second.name]
        assert "not ranked" not in text

    def test_explore(self, capsys, spectrum, tmp_path):
        page = tmp_path / "page.html"
        assert main(["explore", "--spectrum", spectrum, "-o", str(page), "--h", "0.3"]) == 0
        assert str(page) in capsys.readouterr().out
        assert "rotation" in page.read_text(encoding="utf-8")

    def test_a_missing_spectrum(self, capsys, tmp_path):
        for command in (["rank", "--spectrum"], ["explore", "--spectrum"]):
            assert main([*command, str(tmp_path / "none.json")]) == 2
            assert "none.json" in capsys.readouterr().err


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"gamedyn {gamedyn.__version__}\n"


def test_a_sheet_of_a_file_and_of_another_library(tmp_path, capsys):
    # rejects: names alone; a library's method under its own name's coefficients
    (tmp_path / "mine.json").write_text('{"A": [[], ["1/2"]], "b": [0, 1]}', encoding="utf-8")
    assert main(["stability", str(tmp_path / "mine.json"), "torchdiffeq:dopri5", "--json"]) == 0
    mine, theirs = json.loads(capsys.readouterr().out)
    assert mine["order"] == 2
    assert theirs["real limit"] == pytest.approx(stability.real_limit("dopri5"), rel=1e-9)


def test_a_jacobian_is_ranked_with_its_players(tmp_path, capsys):
    # rejects: methods that need blocks skipped; players in another order than J's rows
    J = np.array([[0.0, -1.0], [1.0, -0.1]])
    scipy.sparse.save_npz(tmp_path / "J.npz", scipy.sparse.csr_matrix(J))
    arguments = ["rank", "--jacobian", str(tmp_path / "J.npz"), "--players", "G=1,D=1", "--json", "alternating", "rk4"]
    assert main(arguments) == 0
    rows = {r["name"]: r for r in json.loads(capsys.readouterr().out)["rows"]}
    blocks = stability.BlockJacobian(J, (1, 1), ("G", "D"))
    for name in ("alternating", "rk4"):
        assert rows[name]["limit"] == pytest.approx(stability.stable_steps(name, blocks).limit, rel=1e-12)
    for wrong in ("G=1", "G=1,D=2", "G", ""):
        assert main([*arguments[:4], wrong, "rk4"]) == 2
    with pytest.raises(SystemExit):
        main(["rank", "rk4"])


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchdiffeq"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import matplotlib
matplotlib.use("Agg")
import gamedyn
from gamedyn import methods, plot, stability
from gamedyn.cli import main

assert stability.stable_steps("rk4", [-1.0]).limit > 2.7
plot.region(["rk4"])
assert main(["methods"]) == main(["stability", "rk4"]) == main(["rank", "--spectrum", sys.argv[1]]) == 0
assert main(["explore", "-o", sys.argv[2]]) == 0
assert main(["verify", "rk4"]) == 2
"""


def run_without(code, folder):
    """The code in a process of its own, with a spectrum's file and a page to write as arguments."""
    np.save(folder / "spectrum.npy", np.array([-1 + 1j, -1 - 1j]))
    where = [str(folder / "spectrum.npy"), str(folder / "page.html")]
    done = subprocess.run([sys.executable, "-c", code, *where], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_the_theory_works_where_torch_is_absent(tmp_path):
    # rejects: a torch that creeps into methods, stability, plot or their commands; a missing one that is not named
    done = run_without(WITHOUT, tmp_path)
    assert "verify: needs torch: pip install torch" in done.stderr


WITHOUT_PICTURES = WITHOUT.replace('("torch", "torchdiffeq")', '("torch", "torchdiffeq", "matplotlib", "pandas")')
WITHOUT_PICTURES = (
    WITHOUT_PICTURES[: WITHOUT_PICTURES.index("import matplotlib")]
    + """
from gamedyn import plot, stability
from gamedyn.cli import main

assert main(["explore", "-o", sys.argv[2], "--spectrum", sys.argv[1]]) == 0
try:
    plot.region
except ModuleNotFoundError as error:
    print(error)
"""
)


def test_the_explorer_needs_no_matplotlib(tmp_path):
    # rejects: a package that imports all pictures to write a page; a missing package that is not named
    done = run_without(WITHOUT_PICTURES, tmp_path)
    assert "gamedyn.plot.region needs matplotlib: pip install 'gamedyn[plot]'" in done.stdout
    assert (tmp_path / "page.html").stat().st_size > 100_000


@pytest.fixture
def files(tmp_path):
    """A Jacobian of two players, its eigenvalues, and a tableau."""
    J = np.array([[-0.1, 0.0, -1.0, 0.3], [0.0, -0.1, 0.2, -0.5], [1.0, -0.2, -0.2, 0.0], [-0.3, 0.5, 0.0, -0.2]])
    np.save(tmp_path / "J.npy", J)
    np.save(tmp_path / "s.npy", np.linalg.eigvals(J))
    (tmp_path / "mine.json").write_text(json.dumps({"A": [[], ["1/3"], [0, "2/3"]], "b": ["1/4", 0, "3/4"]}))
    return tmp_path


GAME = ["--players", "G=2,D=2"]


def test_every_command_takes_files_libraries_spectra_and_jacobians(files, capsys):
    """Rejects: a command that knows members alone, players that are dropped, a file's name lost."""
    tableau, spectrum = str(files / "mine.json"), ["--spectrum", str(files / "s.npy")]
    jacobian = ["--jacobian", str(files / "J.npy"), *GAME]
    blocks = stability.load_jacobian(files / "J.npy", {"G": 2, "D": 2})
    for given, methods_ in ((spectrum, ["rk4"]), (jacobian, ["rk4", "alternating", "slingshot"])):
        names = [*methods_, tableau, "torchdiffeq:dopri5"]
        assert main(["stability", *names, *given, "--json"]) == 0
        sheets = json.loads(capsys.readouterr().out)
        assert [s["name"] for s in sheets] == [*methods_, "mine", "torchdiffeq:dopri5"]
        for record, name in zip(sheets, methods_, strict=False):
            assert record["steps"][0]["to"] == pytest.approx(stability.stable_steps(name, blocks).limit, rel=1e-9)
        assert main(["rank", *names, *given, "--csv"]) == 0
        table = capsys.readouterr().out.splitlines()
        assert table[0].startswith("name,order,limit")
        assert {"mine", "torchdiffeq:dopri5"} <= {line.split(",")[0] for line in table}
        assert main(["explore", *names, *given, "-o", str(files / "page.html"), "--json"]) == 0
        assert '"mine"' in (files / "page.html").read_text(encoding="utf-8")
        capsys.readouterr()
        assert main(["verify", *methods_, tableau, *given]) == 0
        out = capsys.readouterr().out
        assert out.count("ok  largest stable step") == len(methods_) + 1
    assert main(["stability", "rk4", *spectrum, *jacobian]) == 2
    assert main(["stability", "rk4", *GAME]) == 2


def test_a_wrong_limit_is_a_fault(files, capsys, monkeypatch):
    """Rejects: a measurement that cannot disagree with the prediction."""
    from gamedyn.spectrum import verify

    spectrum = stability.load_spectrum(files / "s.npy")
    module = sys.modules["gamedyn.spectrum.verify"]
    real = module.stable_steps
    for factor in (0.9, 1.1):
        wrong = lambda m, s, f=factor: types.SimpleNamespace(limit=f * real(m, s).limit)  # noqa: E731
        monkeypatch.setattr(module, "stable_steps", wrong)
        assert [f.check for f in verify("rk4", spectrum=spectrum).faults] == ["largest stable step"]


def test_a_tailored_method_is_one_that_verify_takes(files, tmp_path, capsys):
    # rejects: coefficients that are written rounded, an order that is taken from what is checked
    given = ["--jacobian", str(files / "J.npy"), *GAME]
    assert main(["tailor", *given, "--stages", "3", "4"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["tailor", *given, "--stages", "4", "--json"]) == 0
    (tmp_path / "made.json").write_text(capsys.readouterr().out)
    assert main(["verify", str(tmp_path / "made.json"), "--order", "1", *given]) == 0
    assert "ok  largest stable step" in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "made.json"), "--order", "2"]) == 1
