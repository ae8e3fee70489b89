"""The page in a real browser: headless Chromium, through Playwright; axe-core looks for what some cannot use.

Skipped, with the reason, where Chromium is not installed (Debian: chromium). Playwright's own download
of a browser is not needed.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Error, sync_playwright
from playwright.sync_api import Page as Tab
from test_report import made

from eval.ranking.report_files import write_report
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document

KEYS = {"Enter": "Enter", "Down": "ArrowDown", "Up": "ArrowUp", "Escape": "Escape", "Tab": "Tab"}


class Browser:
    """One tab, and what the tests do with it."""

    def __init__(self, binary: str) -> None:
        self._playwright = sync_playwright().start()
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        self._browser = self._playwright.chromium.launch(executable_path=binary, args=arguments)
        self._complaints: list[str] = []
        self.tab = self._new_tab({"viewport": {"width": 1280, "height": 900}})

    def _new_tab(self, screen: dict[str, Any]) -> Tab:
        context = self._browser.new_context(**screen)
        tab = context.new_page()
        tab.set_default_timeout(60_000)
        tab.on("console", lambda message: self._heard(message.type, message.text))
        tab.on("pageerror", lambda error: self._complaints.append(str(error)))
        return tab

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self._complaints.append(text)

    def close(self) -> None:
        self._browser.close()
        self._playwright.stop()

    def open(self, url: str) -> None:
        self.tab.goto(url)

    def run(self, script: str) -> Any:
        """The value of a script that ends in `return`."""
        return self.tab.evaluate(f"() => {{ {script} }}")

    def press(self, *keys: str) -> None:
        """Keys for whatever has the focus; names of `KEYS`, or text."""
        for key in keys:
            if key in KEYS:
                self.tab.keyboard.press(KEYS[key])
            else:
                self.tab.keyboard.type(key)

    def click(self, css: str) -> None:
        self.tab.locator(css).first.click()

    def text(self, css: str) -> str:
        return self.tab.locator(css).first.inner_text()

    def shows(self, css: str, beginning: str, seconds: float = 60) -> None:
        """Until an element's text begins so; a page may be on its way. Needs no JavaScript."""
        end, last = time.monotonic() + seconds, ""
        while time.monotonic() < end:
            try:
                last = self.tab.locator(css).first.inner_text(timeout=1000)
            except Error as error:  # not there, or gone with the page before
                last = str(error)
            if last.startswith(beginning):
                return
            time.sleep(0.05)
        raise AssertionError(f"{css} never began with {beginning!r}; it was: {last}")

    def wait(self, script: str, seconds: float = 60) -> None:
        """Until a script's value is true; a page may be on its way."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(Error):
                if self.run(script):
                    return
            time.sleep(0.05)
        raise AssertionError(f"never became true: {script}")

    def look(self, width: int, height: int, dark: bool = False, javascript: bool = True) -> None:
        """A screen of this size in CSS pixels, in light or dark mode; below 600 a telephone, touched."""
        self.tab.context.close()
        touch = width < 600
        self.tab = self._new_tab(
            {
                "viewport": {"width": width, "height": height},
                "device_scale_factor": 2 if touch else 1,
                "is_mobile": touch,
                "has_touch": touch,
                "color_scheme": "dark" if dark else "light",
                "java_script_enabled": javascript,
            }
        )

    def picture(self, path: Path) -> None:
        self.tab.screenshot(path=path)

    def complaints(self) -> list[str]:
        """What the console has said since the last call: errors, refusals of the content policy."""
        said, self._complaints = self._complaints, []
        return said

    def barriers(self) -> list[str]:
        """What axe-core finds that is serious or critical (WCAG 2.2 A and AA, and good practice)."""
        found = Axe().run(self.tab).response["violations"]
        return [
            f"{entry['id']}: {node['html'][:120]}"
            for entry in found
            if entry["impact"] in ("serious", "critical")
            for node in entry["nodes"]
        ]


DOCUMENTS = [
    Document("cs-1", "Nemocnice v Praze je otevřena celý den.", "Pražská nemocnice", "", "cs"),
    Document("en-1", "The hospital in Prague is open all day. " * 8, "Hospital of Prague", "", "en"),
    Document("ar-1", "المستشفى في براغ مفتوح طوال اليوم", "مستشفى براغ", "", "ar"),
    Document("bn-1", "প্রাগের হাসপাতাল সারাদিন খোলা থাকে", "প্রাগের হাসপাতাল", "", "bn"),
    Document("evil", "hospital <script>document.title = 'taken'</script>", "<img src=x onerror=\"document.title='taken'\">", "", "en"),
    Document("long", "hospital " + "x" * 400, "A" * 300, "https://example.org/" + "y" * 300, "en"),
    *(Document(f"n-{i:02}", f"walnut number {i}", f"Walnut {i}", "", "en") for i in range(15)),
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> str:
    """The browser, or a skip that says what is missing."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("Chromium is not installed (apt install chromium)")


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
def shared(chromium: str) -> Iterator[Browser]:
    browser = Browser(chromium)
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
    browser.wait("return document.activeElement.name == 'q'")  # a busy browser focuses it late
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
    browser.wait("return document.activeElement.name == 'q'")
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
        "compare?q=hospital&left=lexical",
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


ADDRESSES = (
    "",
    "?q=hospital",
    "compare?q=hospital&left=lexical",
    "document?id=bn-1",
    "?q=المستشفى",
    "?q=হাসপাতাল",
    "?q=zzz&mode=lexical&lang=cs",
    "?q=",
    "document?id=cs-1",
    "document?id=ar-1",
    "nowhere",
    "docs",
    "compare",
)  # pages that axe-core reads; the first five also at 320 px


@pytest.mark.parametrize(("width", "dark"), [(320, False), (390, True), (1280, False)])
def test_nobody_is_shut_out(browser: Browser, site: str, width: int, dark: bool) -> None:
    """axe-core on every page, whatever opens opened: contrast, names, landmarks, order of headings."""
    browser.look(width, 800, dark)
    for address in ADDRESSES if width != 320 else ADDRESSES[:5]:
        browser.open(site + address)
        browser.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert browser.barriers() == [], address
    browser.complaints()  # of the 400 and the 404 above


@pytest.mark.parametrize(("width", "dark"), [(320, False), (390, True), (1280, False)])
def test_a_report_fits_and_can_be_read(
    browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    browser.look(width, 800, dark)
    for names in (["one"], ["one", "two|three", "dense"]):
        write_report(made(*names), tmp_path / "report.html")
        browser.open((tmp_path / "report.html").as_uri())
        assert browser.barriers() == []
        assert browser.run("return document.documentElement.scrollWidth") <= width


def test_what_axe_finds_is_told(browser: Browser, site: str) -> None:
    browser.open(site)
    browser.run("document.querySelector('main').innerHTML += '<img src=\"icon.svg\">'")
    assert [found.split(":")[0] for found in browser.barriers()] == ["image-alt"]
    browser.complaints()  # of the picture that is not there


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


def test_all_of_it_works_without_javascript(browser: Browser, site: str, grades: Path) -> None:
    browser.look(1280, 900, javascript=False)
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
