"""Makes the pictures of README.md and docs/, and the output of `make demo` that README.md shows: `make pictures`.

Needs matplotlib (`pip install '.[eval]'`), and for the screenshots Playwright (`pip install '.[test]'`), Chromium and fonts
for all scripts (Debian: chromium, fonts-noto-core, fonts-noto-cjk); without Chromium they are left as they are. The demo index is built by `python -m demo` and served on 127.0.0.1 while the pictures are taken.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
QUERY = "kdy se začaly tisknout knihy"  # when books were first printed: the answers are in English and in German
OTHER = "প্রাথমিক চিকিৎসা পোড়া"  # Bengali: first aid, burn
DEMO_OUTPUT = re.compile(r"(<!-- first hits of `make demo` -->\n\n```text\n).*?(```\n)", re.DOTALL)
BLUE, ORANGE, GREY = "#1f6feb", "#d9730d", "#8a8f98"


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    printed = subprocess.run(
        [sys.executable, "-m", "demo"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    readme = ROOT / "README.md"
    readme.write_text(with_demo_output(readme.read_text("utf-8"), printed), "utf-8", newline="\n")
    speed_plot(PICTURES / "speed.svg")
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        print("no Chromium in PATH: the screenshots are left as they are", file=sys.stderr)
        return
    with served(ROOT / "demo.index") as url:
        report = ROOT / "modes.html"  # where the command that the report shows would write it
        command = "eval compare demo/qrels.txt lexical dense hybrid -i demo.index -m nDCG@10 -m RR --title".split()
        subprocess.run(
            [sys.executable, "-m", "tandem", *command, "The three modes on the demo", "--report", report.name],
            cwd=ROOT, check=True, capture_output=True,
        )  # fmt: skip
        try:
            screenshots(browser, url, report)
        finally:
            report.unlink()


def with_demo_output(readme: str, printed: str) -> str:
    """`readme`, with each query that `make demo` printed and its first hit in the marked block."""
    lines = printed.splitlines()
    queries = [i for i, line in enumerate(lines) if re.search(r"  \[[a-z]{2}\]$", line)]
    shown = "".join(f"{lines[i]}\n{lines[i + 1]}\n" for i in queries)
    replaced, count = DEMO_OUTPUT.subn(lambda block: block[1] + shown + block[2], readme)
    assert count == 1, "README.md has no block for the output of `make demo`"
    return replaced


@contextmanager
def served(index: Path) -> Iterator[str]:
    """The address of the page over `index`, on a free port, until the block ends."""
    command = [sys.executable, "-m", "tandem", "serve", "-i", str(index), "--port", "0"]
    server = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        for line in server.stderr:
            if found := re.search(r"http://[^ ]+", line):
                yield found[0].rstrip("/") + "/"
                return
        raise SystemExit(f"`{' '.join(command)}` did not start")
    finally:
        server.terminate()
        server.wait()
        server.stderr.close()


def screenshots(browser: str, url: str, report: Path) -> None:
    """The page in light and dark, wide and on a telephone, and a report."""
    from playwright.sync_api import sync_playwright

    hits = f"{url}?{urlencode({'q': QUERY, 'k': 3})}"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        wide = chromium.new_page(viewport={"width": 1000, "height": 615}, device_scale_factor=2)
        wide.set_default_timeout(120_000)
        wide.goto(hits)  # the first query also loads what every later one uses
        wide.reload()
        picture(wide, "page")
        wide.set_viewport_size({"width": 1000, "height": 820})
        wide.locator(".why summary").first.click()
        picture(wide, "why")
        wide.locator("#hit-1 h2 a").click()
        wide.wait_for_url("**/document?**")
        wide.evaluate("scrollTo(0, 0)")
        picture(wide, "document")
        wide.goto(f"{url}compare?{urlencode({'q': QUERY, 'right': 'lexical'})}")
        picture(wide, "compare")
        wide.goto(report.as_uri())
        picture(wide, "report")
        telephone = chromium.new_page(
            viewport={"width": 390, "height": 780}, device_scale_factor=2, color_scheme="dark"
        )
        telephone.goto(f"{url}?{urlencode({'q': OTHER})}")
        picture(telephone, "telephone")
        chromium.close()


def picture(tab: Page, name: str) -> None:
    """What a tab shows, in at most 256 colours."""
    from PIL import Image  # matplotlib needs it too

    with Image.open(io.BytesIO(tab.screenshot())) as image:
        image.convert("RGB").quantize(256).save(PICTURES / f"{name}.png", optimize=True)


def speed_plot(file: Path) -> None:
    """Query time by the size of the index, and beside peers, from benchmarks/results/results.json."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "tandem"  # the same file from the same figures
    from matplotlib import pyplot

    sizes = json.loads((ROOT / "benchmarks" / "results" / "results.json").read_text("utf-8"))[
        "sizes"
    ]
    figure, (growth, peers) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")

    counts = sorted(int(size) for size in sizes)
    for mode, colour in (("hybrid", "#333333"), ("dense", BLUE), ("lexical", ORANGE)):
        times = [sizes[str(n)]["tandem"]["latency"][mode]["p50"] for n in counts]
        growth.plot(counts, times, "o-", color=colour, label=mode)
    growth.axhline(5, color=GREY, linestyle="--", linewidth=1)
    growth.text(counts[0], 5.1, "target at 1,000,000: 5 ms (missed)", color=GREY, fontsize=8)
    growth.set(xscale="log", ylim=(0, 7), xlabel="passages", ylabel="median query time, ms")
    growth.set_xticks(counts, [f"{n:,}" for n in counts])
    growth.minorticks_off()
    growth.legend(frameon=False, fontsize=8)
    growth.set_title("One query, by size of the index", fontsize=10)

    at = sizes["500000"]
    bars = {
        "Tandem, BM25": at["tandem"]["lexical_side"]["p50"],
        "bm25s": at["bm25s"]["latency"]["p50"],
        "rank-bm25": at["rank-bm25"]["latency"]["p50"],
    }
    drawn = peers.barh(list(bars), list(bars.values()), color=[ORANGE, GREY, GREY])
    peers.bar_label(drawn, [f"{value:,.1f} ms" for value in bars.values()], padding=3, fontsize=8)
    peers.set(xscale="log", xlim=(0.1, 10_000), xlabel="median query time, ms (logarithmic)")
    peers.invert_yaxis()
    peers.set_title("BM25 alone, 500,000 passages", fontsize=10)
    for axes in (growth, peers):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
