"""The explorer: what its page holds, and, in a real browser, that it computes and says what the package does."""

from __future__ import annotations

import json
import re
import shutil
import warnings

import numpy as np
import pytest

import gamedyn as gd
from gamedyn.plot import write_explorer
from gamedyn.plot.explorer_data import FAMILIES, family
from gamedyn.stability import BlockJacobian, Eigenvalues, amplification, load_spectrum, save_spectrum, stable_steps

OWN = dict(gd.methods.members())
DECOUPLED = {n: m for n, m in OWN.items() if m.decouples}
SPECTRUM = np.array([-0.046 + 0.499j, -0.046 - 0.499j, -2.1625, -0.5 + 1j, -0.5 - 1j])
BLOCKS = BlockJacobian(np.array([[0.0, -1.0], [1.0, -0.5]]), (1, 1))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_explorer(tmp_path_factory.mktemp("explorer") / "page.html", spectrum=SPECTRUM, h=0.5)


def data_of(path):
    text = path.read_text(encoding="utf-8")
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, flags=re.DOTALL)
    return json.loads(found)


class TestThePage:
    def test_needs_nothing_else(self, page):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)""", text)
        assert "default-src 'none'" in text  # the browser itself refuses every request
        assert "fetch(" not in text
        assert "XMLHttpRequest" not in text

    def test_offers_every_member(self, page):
        assert {m["name"] for m in data_of(page)["methods"]} == set(OWN)

    def test_holds_the_coefficients(self, page):
        # rejects: numerator and denominator exchanged, newest and oldest of a recurrence
        z = np.array([-0.3 + 0.8j, -1.5, 0.2 + 1.1j])
        for m in data_of(page)["methods"]:
            if m["kind"] == "rational":
                top, bottom = (np.polynomial.polynomial.polyval(z, m[k]) for k in ("numerator", "denominator"))
                growth = np.abs(top / bottom)
            elif m["kind"] == "recurrence":
                rows = [np.array([np.polynomial.polynomial.polyval(x, p) for p in m["tops"]]) for x in z]
                below = [np.polynomial.polynomial.polyval(x, m["bottom"]) for x in z]
                growth = [np.abs(np.roots([b, *-r])).max() for r, b in zip(rows, below, strict=True)]
            else:
                continue
            np.testing.assert_allclose(growth, amplification(m["name"], z), rtol=1e-12, err_msg=m["name"])

    def test_text_from_outside_stays_text(self, tmp_path):
        # rejects: a game's name that ends the script and begins another
        spectrum = tmp_path / "s.json"
        save_spectrum(spectrum, SPECTRUM, game="</script><script>alert(1)</script>")
        path = write_explorer(tmp_path / "p.html", spectrum=load_spectrum(spectrum))
        assert "</script><script>alert" not in path.read_text(encoding="utf-8")
        assert data_of(path)["spectrum"]["game"].startswith("</script>")


class TestBadInput:
    def test_is_named(self, tmp_path):
        where = tmp_path / "p.html"
        for options, match in (
            ({"methods": ["rk44"]}, "did you mean 'rk4'"),
            ({"methods": []}, "methods: expected at least one"),
            ({"methods": ["normalised"]}, "methods"),
            ({"spectrum": []}, "eigenvalues: expected at least one"),
            ({"spectrum": [np.nan]}, "eigenvalues"),
            ({"h": -1.0}, "h: expected a positive"),
            ({"spectrum": [-1.0], "blocks": BLOCKS}, "blocks"),
        ):
            with pytest.raises(gd.GamedynError, match=match):
                write_explorer(where, **options)
        with pytest.raises(gd.ArgumentError, match="path"):
            write_explorer(tmp_path / "none" / "p.html")
        assert not where.exists()


class TestSpectrumFiles:
    def test_round_trip(self, tmp_path):
        residuals = np.full(len(SPECTRUM), 1e-9)
        given = Eigenvalues(SPECTRUM, complete=False, residuals=residuals)
        save_spectrum(tmp_path / "s.json", given, game="digits")
        found = load_spectrum(tmp_path / "s.json")
        np.testing.assert_array_equal(found.values, SPECTRUM)
        np.testing.assert_array_equal(found.residuals, residuals)
        assert (found.complete, found.game) == (False, "digits")

    @pytest.mark.parametrize(
        "text", ["", "[]", '{"eigenvalues": []}', '{"eigenvalues": [[1, "x"]]}', '{"eigenvalues": [NaN]}']
    )
    def test_bad_files_are_named(self, tmp_path, text):
        (tmp_path / "s.json").write_text(text)
        with pytest.raises(gd.ArgumentError):
            load_spectrum(tmp_path / "s.json")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium, its own profile, nothing in the background."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver (Debian packages chromium, chromium-driver)")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "disable-dev-shm-usage",
        f"user-data-dir={profile}",
        "window-size=1280,900",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = webdriver.Chrome(options=options, service=Service(driver))
    yield started
    started.quit()


@pytest.fixture
def opened(browser, page):
    browser.get(page.as_uri())
    yield browser
    errors = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert not errors


def find(browser, name):
    return browser.find_element("id", name)


def set_step(browser, value):
    box = find(browser, "step-value")
    box.clear()
    box.send_keys(str(value), "\n")
    drawn(browser)


def drawn(browser):
    """Wait for what the page shows: it draws in its next frame."""
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


@pytest.mark.slow
class TestInABrowser:
    def test_it_computes_what_the_package_does(self, opened):
        # rejects: another boundary in JavaScript, a lost interval, a wrong binding mode
        pairs = [[x.real, x.imag] for x in SPECTRUM]
        found = opened.execute_script(
            """const facts = Theory.modesOf(arguments[0]);
            return Page.data.methods.filter((m) => m.kind !== "blocks").map((m) => {
              const s = Theory.stableSteps(m, facts);
              return [m.name, s.intervals.map(([a, b]) => [a, Number.isFinite(b) ? b : null])];
            });""",
            pairs,
        )
        assert {name for name, _ in found} == set(DECOUPLED)
        for name, intervals in found:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", gd.stability.StabilityWarning)
                expected = [[a, None if np.isinf(b) else b] for a, b in stable_steps(name, SPECTRUM).intervals]
            assert len(intervals) == len(expected), name
            for mine, theirs in zip(expected, intervals, strict=True):
                assert mine[0] == pytest.approx(theirs[0], rel=1e-6, abs=1e-9), name
                assert mine[1] == (None if theirs[1] is None else pytest.approx(theirs[1], rel=1e-6)), name

    def test_the_verdict_follows_the_step(self, opened):
        limit = stable_steps("rk4", SPECTRUM).limit
        for h, said in ((0.99 * limit, "rk4 is stable"), (1.01 * limit, "rk4 is unstable")):
            set_step(opened, h)
            assert find(opened, "verdict").text.startswith(said)
        assert "2.163" in find(opened, "verdict").text  # the binding eigenvalue

    def test_keys_alone(self, opened):
        # the step by arrow keys, from the skip link on
        from selenium.webdriver.common.keys import Keys

        slider = find(opened, "step")
        before = float(find(opened, "step-value").get_attribute("value"))
        slider.send_keys(Keys.ARROW_RIGHT * 3)
        after = float(find(opened, "step-value").get_attribute("value"))
        assert after > before
        opened.switch_to.active_element.send_keys(Keys.TAB)
        assert opened.switch_to.active_element.get_attribute("id") == "step-value"
        find(opened, "plane").send_keys(Keys.ARROW_LEFT)
        assert float(find(opened, "step-value").get_attribute("value")) < after

    def test_typed_eigenvalues_and_their_errors(self, opened):
        opened.execute_script("document.getElementById('spectrum').open = true")
        typed = find(opened, "typed")
        typed.send_keys("1i\n-1i")
        find(opened, "use").click()
        set_step(opened, 2.8)
        assert find(opened, "verdict").text.startswith("rk4 is stable")
        assert "2.828" in find(opened, "verdict").text
        set_step(opened, 2.85)
        assert find(opened, "verdict").text.startswith("rk4 is unstable")
        typed.clear()
        typed.send_keys("-1\nminus two")
        find(opened, "use").click()
        assert "2" in find(opened, "typed-error").text  # the line
        assert "minus two" in find(opened, "typed-error").text

    def test_a_file_is_loaded(self, opened, tmp_path):
        save_spectrum(tmp_path / "s.json", np.array([-4.0]), game="one stiff mode")
        find(opened, "file").send_keys(str(tmp_path / "s.json"))
        assert "one stiff mode" in find(opened, "summary").text
        set_step(opened, 0.69)
        assert find(opened, "verdict").text.startswith("rk4 is stable")
        set_step(opened, 0.71)
        assert find(opened, "verdict").text.startswith("rk4 is unstable")

    def test_methods_are_searched_and_ticked(self, opened):
        find(opened, "search").send_keys("gauss6")
        boxes = [b for b in opened.find_elements("css selector", "#list input") if b.is_displayed()]
        assert len(boxes) == 1
        boxes[0].click()
        drawn(opened)
        assert "gauss6" in find(opened, "rows").text

    def test_a_step_that_is_no_number(self, opened):
        set_step(opened, "fast")
        assert find(opened, "step-error").text

    def test_on_a_phone_in_the_dark(self, browser, page):
        """Rejects: a page wider than 390 px, pictures that stay white, black lines on black."""
        size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        scheme = {"name": "prefers-color-scheme", "value": "dark"}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        try:
            browser.get(page.as_uri())
            drawn(browser)
            assert browser.execute_script("return document.documentElement.scrollWidth") == 390
            picture = "const c = document.getElementById(arguments[0]); "
            pixel = f"{picture}return [...c.getContext('2d').getImageData(4, 4, 1, 1).data]"
            for canvas in ("plane", "steps"):
                red, green, blue, alpha = browser.execute_script(pixel, canvas)
                assert max(red, green, blue) < 80 or not alpha
            assert browser.execute_script("return Draw.onPaper('#000000')") == "#e6edf3"
            buttons = browser.find_elements("css selector", "button:not([hidden]), #list label")
            assert all(b.size["height"] >= 36 for b in buttons if b.is_displayed())  # a thumb's
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{**scheme, "value": "light"}]})
            drawn(browser)
            assert min(browser.execute_script(pixel, "plane")[:3]) > 200  # the change is seen at once
        finally:
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
            browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    @pytest.mark.parametrize("text", ["-1 2", "-0.5 3", "-1*2i", "1 i 2"])
    def test_typed_text_that_is_no_number_is_refused(self, opened, text):
        """Rejects: whitespace and asterisks dropped, so that two columns become one number."""
        opened.execute_script("document.getElementById('spectrum').open = true")
        find(opened, "typed").clear()
        find(opened, "typed").send_keys(text)
        find(opened, "use").click()
        assert "Line 1" in find(opened, "typed-error").text

    def test_anchored_and_periodic_methods(self, browser, tmp_path):
        """Rejects: a family without a heading, whose methods have no box to tick."""
        game = gd.stability.BlockJacobian(np.array([[-0.1, -1.0], [1.0, -0.2]]), (1, 1))
        page = write_explorer(tmp_path / "page.html", spectrum=game, methods=["slingshot", "eag", "rk4"])
        browser.get(page.as_uri())
        drawn(browser)
        for name in ("slingshot", "eag", "rk4"):
            limit = browser.execute_script("return Page.known(arguments[0]).limit", name)
            assert limit == pytest.approx(stable_steps(name, game).limit, rel=1e-6)
        assert not [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]


def test_every_family_has_a_heading():
    everything = [*gd.methods.members().values(), *(m for m in gd.methods.maps().values() if m.has_theory)]
    assert {family(m) for m in everything} == set(FAMILIES)
