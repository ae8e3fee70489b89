"""The page in a real browser: headless Chromium, driven over the WebDriver protocol.

Skipped, with the reason, where Chromium or its driver is not installed (Debian: chromium, chromium-driver).
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.build import build_index
from indexer.encoders.opening import HashEncoder
from indexer.schema import Document

KEYS = {"Enter": "\ue007", "Down": "\ue015", "Up": "\ue013", "Escape": "\ue00c", "Tab": "\ue004"}


class Browser:
    """A WebDriver client (https://www.w3.org/TR/webdriver2/): the few commands that the tests need."""

    def __init__(self, driver: str, binary: str, profile: Path, javascript: bool = True) -> None:
        self.process = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        port = next(
            line.rsplit("port ", 1)[1].strip(" .\n")
            for line in self.process.stdout
            if "started successfully on port" in line
        )
        self.url = f"http://127.0.0.1:{port}/session"
        arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
        ]
        options: dict[str, Any] = {"binary": binary, "args": arguments}
        if not javascript:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        try:
            session = self._call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self._end()
            raise
        self.url += f"/{session['sessionId']}"

    def close(self) -> None:
        try:
            self._call("DELETE", "")
        finally:
            self._end()

    def _end(self) -> None:
        self.process.terminate()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def run(self, script: str) -> Any:
        """The value of a script that ends in `return`."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def press(self, *keys: str) -> None:
        """Keys for whatever has the focus; names of `KEYS`, or text."""
        strokes = [stroke for key in keys for stroke in KEYS.get(key, key)]
        actions = [{"type": kind, "value": s} for s in strokes for kind in ("keyDown", "keyUp")]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        self._call("POST", "/actions", {"actions": [source]})

    def click(self, css: str) -> None:
        self._call("POST", f"/element/{self._find(css)}/click", {})

    def text(self, css: str) -> str:
        return str(self._call("GET", f"/element/{self._find(css)}/text"))

    def shows(self, css: str, beginning: str, seconds: float = 60) -> None:
        """Until an element's text begins so; a page may be on its way. Needs no JavaScript."""
        end, last = time.monotonic() + seconds, ""
        while time.monotonic() < end:
            try:
                last = self.text(css)
            except AssertionError as error:  # not there, or gone with the page before
                last = str(error)
            if last.startswith(beginning):
                return
            time.sleep(0.05)
        raise AssertionError(f"{css} never began with {beginning!r}; it was: {last}")

    def wait(self, script: str, seconds: float = 60) -> None:
        """Until a script's value is true."""
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"never became true: {script}"
            time.sleep(0.05)

    def look(self, width: int, height: int, dark: bool = False) -> None:
        """A screen of this size in CSS pixels, in light or dark mode."""
        touch = width < 600
        metrics = {
            "width": width,
            "height": height,
            "deviceScaleFactor": 2 if touch else 1,
            "mobile": touch,
        }
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", {"features": [scheme]})

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def complaints(self) -> list[str]:
        """What the console has said since the last call: errors, refusals of the content policy."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]

    def _find(self, css: str) -> str:
        found = self._call("POST", "/element", {"using": "css selector", "value": css})
        return str(next(iter(found.values())))

    def _devtools(self, command: str, values: dict[str, Any]) -> None:
        self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": values})

    def _call(self, method: str, path: str, values: dict[str, Any] | None = None) -> Any:
        data = None if values is None else json.dumps(values).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from None


DOCUMENTS = [
    Document("cs-1", "Nemocnice v Praze je otevřena celý den.", "Pražská nemocnice", "", "cs"),
    Document("en-1", "The hospital in Prague is open all day. " * 8, "Hospital of Prague", "", "en"),
    Document("ar-1", "المستشفى في براغ مفتوح طوال اليوم", "مستشفى براغ", "", "ar"),
    Document("evil", "hospital <script>document.title = 'taken'</script>", "<img src=x onerror=\"document.title='taken'\">", "", "en"),
    Document("long", "hospital " + "x" * 400, "A" * 300, "https://example.org/" + "y" * 300, "en"),
    *(Document(f"n-{i:02}", f"walnut number {i}", f"Walnut {i}", "", "en") for i in range(15)),
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> tuple[str, str]:
    """The driver and the browser, or a skip that says what is missing."""
    driver = shutil.which("chromedriver")
    browser = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if driver is None or browser is None:
        pytest.skip(
            "Chromium and its driver are not installed (apt install chromium chromium-driver)"
        )
    return driver, browser


@pytest.fixture(scope="module")
def grades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grades") / "grades.tsv"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, grades: Path) -> Iterator[str]:
    """The page in judge mode, served by the command itself; SIGTERM ends it."""
    path = tmp_path_factory.mktemp("browser") / "index"
    build_index(path, DOCUMENTS, HashEncoder(), model="hash")
    command = [sys.executable, "-m", "tandem", "serve", "-i", str(path), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--judge", str(grades)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    url = next(
        line.split(" at ")[1].split(" ")[0]
        for line in process.stderr
        if line.startswith("Tandem serves")
    )
    yield url
    process.terminate()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0 and "Traceback" not in said


@pytest.fixture(scope="module")
def shared(
    chromium: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    browser = Browser(*chromium, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(shared: Browser) -> Iterator[Browser]:
    """A desktop; whatever the console complained of fails the test."""
    shared.look(1280, 900)
    yield shared
    assert shared.complaints() == []


def test_type_and_find(browser: Browser, site: str) -> None:
    browser.open(site)
    assert browser.run("return document.activeElement.id") == "q"
    browser.press("nemocnice", "Enter")
    browser.shows("mark", "Nemocnice")
    browser.open(f"{site}?q=المستشفى")
    browser.shows("h2[dir=rtl]", "مستشفى")
    assert browser.run("return document.querySelector('h2[dir=rtl]').lang") == "ar"
    assert (
        browser.run("return getComputedStyle(document.querySelector('h2[dir=rtl]')).direction")
        == "rtl"
    )


def test_the_keyboard_moves_between_box_and_hits(browser: Browser, site: str) -> None:
    browser.open(site + "?q=walnut")
    focus = "const hit = document.activeElement.closest('.hit'); return hit ? hit.id : document.activeElement.id"
    assert browser.run(focus) == ""  # hits are read first; no telephone opens its keyboard
    for key, where in (
        ("j", "hit-1"),
        ("j", "hit-2"),
        ("k", "hit-1"),
        ("Down", "hit-2"),
        ("Up", "hit-1"),
        ("Up", "q"),
        ("Down", "hit-1"),
        ("/", "q"),
    ):
        browser.press(key)
        assert browser.run(focus) == where, key
    browser.press("j/k")  # typed into the box, like any letters
    assert browser.run("return document.querySelector('#q').value") == "j/k"
    browser.press("Down", "Enter")
    browser.wait("return location.pathname == '/document'")


def test_what_is_typed_is_completed_and_the_last_queries_stay_in_the_browser(
    browser: Browser, site: str
) -> None:
    browser.open(site)
    browser.run("localStorage.clear(); return 1")
    browser.open(site)
    offered = "return [...document.querySelectorAll('#suggestions option')].map((one) => one.value)"
    browser.press("walnut num")
    browser.wait(f"return (() => {{ {offered} }})().length > 0")
    assert all(one.lower().startswith("walnut num") for one in browser.run(offered))
    browser.press("ber", "Enter")
    browser.wait("return location.search.includes('walnut')")
    browser.open(site)
    link = "return document.querySelector('.recent a')"
    assert browser.run(f"{link}.textContent") == "walnut number"
    assert browser.run(f"{link}.getAttribute('href')") == "/?q=walnut+number"
    browser.press("wal")
    browser.wait(f"return (() => {{ {offered} }})()[0] == 'walnut number'")
    browser.click(".recent button")
    assert browser.run("return localStorage.getItem('tandem.recent')") is None
    assert browser.run(f"{link}") is None
    browser.open(site)
    assert browser.run(f"{link}") is None


def test_why_and_the_language_list_open(browser: Browser, site: str) -> None:
    browser.open(site + "?q=hospital")
    browser.click(".why summary")
    assert "BM25" in browser.text(".why table")
    browser.click(".languages summary")
    browser.click(".languages input[value=ar]")
    browser.click(".apply button")
    browser.wait("return location.search.includes('lang=ar')")
    assert browser.run("return Array.from(document.querySelectorAll('.snippet'), e => e.lang)") == [
        "ar"
    ]
    browser.click(".languages summary")
    browser.press("Escape")
    assert browser.run("return document.querySelector('.languages').open") is False


def test_markup_of_a_document_does_nothing(browser: Browser, site: str) -> None:
    browser.open(site + "?q=hospital&k=50")
    assert "<script>" in browser.text("main") and "<img src=x" in browser.text("main")
    assert browser.run("return document.title") == "hospital – Tandem"
    assert browser.run("return document.images.length") == 0


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_runs_over_the_edge(browser: Browser, site: str, width: int) -> None:
    browser.look(width, 800)
    for address in (
        "",
        "?q=hospital&k=50",
        "?q=",
        "?q=zzz&mode=lexical&lang=cs",
        "document?id=long",
        "nowhere",
    ):
        browser.open(site + address)
        browser.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
        wide = browser.run(
            "return Array.from(document.querySelectorAll('body *:not(.hidden):not(.hidden *):not(.skip)'))"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 1 && getComputedStyle(e).overflow == 'visible')"
            ".map(e => e.outerHTML.slice(0, 80))"
        )
        assert browser.run("return document.documentElement.scrollWidth") <= width, (address, wide)
        hints = "return Array.from(document.querySelectorAll('.keys'), e => e.offsetWidth > 0)"
        assert all(shown == (width > 640) for shown in browser.run(hints)), address
    browser.complaints()  # of the 400 and the 404 above


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read(browser: Browser, site: str, dark: bool) -> None:
    """Contrast of text and ground of 4.5 at least (WCAG 2.2, success criterion 1.4.3)."""
    browser.look(1280, 900, dark)
    for address in ("", "?q=hospital", "?q=zzz&mode=lexical&lang=cs", "?q=", "document?id=cs-1"):
        browser.open(site + address)
        browser.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert browser.run(CONTRAST) == [], address
    browser.complaints()  # of the 400 above


# Elements with text of their own whose contrast is too low. The formula is WCAG's relative luminance.
CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const paint = (under, colour) => {
  canvas.fillStyle = under; canvas.fillRect(0, 0, 1, 1);
  canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
  return `rgb(${r}, ${g}, ${b})`;
};
const luminance = (colour) => {
  const [r, g, b] = colour.match(/[0-9.]+/g).map(Number).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => element
  ? paint(ground(element.parentElement), getComputedStyle(element).backgroundColor)
  : 'rgb(255, 255, 255)';
const poor = [];
for (const element of document.querySelectorAll('body, body *')) {
  const own = Array.from(element.childNodes).some(n => n.nodeType == 3 && n.textContent.trim());
  if (!own || element.closest('.hidden, .skip, script') || !element.checkVisibility()) continue;
  const under = ground(element), ink = paint(under, getComputedStyle(element).color);
  const [a, b] = [luminance(under), luminance(ink)];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${element.outerHTML.slice(0, 80)}`);
}
return poor;
"""


def test_controls_have_names_and_the_page_has_landmarks(browser: Browser, site: str) -> None:
    browser.open(site + "?q=hospital")
    unnamed = browser.run(
        "return Array.from(document.querySelectorAll('a, button, input:not([type=hidden]), summary'))"
        ".filter(e => !(e.textContent.trim() || e.ariaLabel || (e.labels && e.labels.length)))"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert unnamed == []
    for landmark in ("main", "header", "footer", "nav[aria-label]", "[role=search]", "html[lang]"):
        assert browser.run(f"return document.querySelectorAll('{landmark}').length") >= 1, landmark
    names = browser.run("return Array.from(document.querySelectorAll('[id]'), e => e.id)")
    assert len(names) == len(set(names))
    for address in (
        "",
        "?q=",
        "?q=zzz&mode=lexical&lang=cs",
        "document?id=cs-1",
        "nowhere",
        "?q=hospital",
    ):
        browser.open(site + address)
        assert browser.run("return document.querySelectorAll('h1').length") == 1, address
    browser.complaints()  # of the 400 and the 404 above
    browser.press("Tab")
    assert browser.run("return document.activeElement.className") == "skip"


def test_a_grade_is_kept_without_leaving_the_page(
    browser: Browser, site: str, grades: Path
) -> None:
    browser.open(site + "?q=nemocnice")
    browser.run("window.stayed = true")
    browser.click("#hit-1 .judge button[value='0.75']")
    browser.wait("return document.querySelector('.said').textContent.startsWith('Graded 0.75')")
    browser.press("j")  # to the title of the second hit
    for key, label in (("0", "0 "), ("2", "0.25"), ("5", "0.5"), ("7", "0.75"), ("1", "1 ")):
        browser.press(key)
        browser.wait(
            f"return document.querySelector('.said').textContent.startsWith('Graded {label}')"
        )
    assert browser.run("return window.stayed") is True
    written = [line.split("\t") for line in grades.read_text("utf-8").splitlines()]
    assert written[1][1:3] == ["nemocnice", "cs-1"] and written[1][5] == "0.75"
    assert written[2][1] == "nemocnice" and written[2][5] == "1" and len(written) == 3


def test_all_of_it_works_without_javascript(
    chromium: tuple[str, str], site: str, tmp_path: Path, grades: Path
) -> None:
    browser = Browser(*chromium, tmp_path / "profile", javascript=False)
    try:
        browser.open(site)
        browser.click("#q")
        browser.press("walnut", "Enter")
        browser.shows("mark", "walnut")
        browser.click("a[rel=next]")
        browser.shows(".summary", "Hits 11 to")
        browser.click(".languages summary")
        browser.click(".languages input[value=en]")
        browser.click(".apply button")
        browser.shows(".languages summary", "Only English")
        browser.click("#hit-2 .judge button[value='0.25']")
        browser.shows("#hit-2 [aria-pressed=true]", "0.25 Slight")
        assert "\twalnut\t" in grades.read_text("utf-8")
        browser.click("nav.modes a:last-child")
        browser.shows("nav.modes a:last-child[aria-current]", "Words")
        browser.click(".hit .why summary")
        browser.shows(".why tfoot", "Together")
    finally:
        browser.close()
