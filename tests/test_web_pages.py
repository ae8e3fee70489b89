"""The main text of HTML pages."""

from __future__ import annotations

import time

import pytest

from indexer.text.web_pages import MAX_DEPTH, read_page

ARTICLE = "<h1>Old bridge</h1><p>The old bridge is closed until spring because of the flood.</p>"
TEXT = "Old bridge\nThe old bridge is closed until spring because of the flood."


@pytest.mark.parametrize(
    "page",
    [
        f"<nav><a href=1>News</a></nav><main>{ARTICLE}</main><footer>Imprint</footer>",
        f"<header><a href=/>Home</a></header><article>{ARTICLE}</article><aside>Related</aside>",
        f"<div id=menu>News Sport</div><div class='content'>{ARTICLE}</div><div class='site footer'>Imprint</div>",
        f"<div class='cookie-banner'>We use cookies</div>{ARTICLE}<ul role=navigation><li>Next</ul>",
        f"<p hidden>no</p>{ARTICLE}<script>x</script><style>y</style><noscript>Turn it on</noscript>",
        f"<main><header>{ARTICLE}</header></main>",
    ],
)
def test_menus_and_footers_are_left_out(page: str) -> None:
    assert read_page(f"<html><body>{page}</body></html>").text == TEXT


def test_what_an_article_says_aside_belongs_to_it() -> None:
    page = "<article><p>One.</p><aside>Note.</aside><footer>Author</footer><table class=toc><tr><td>a<td>b</table></article>"
    assert read_page(page).text == "One.\nNote.\na b"


def test_a_page_that_is_all_menu_is_kept_whole() -> None:
    page = "<nav><ul><li>Apples<li>Pears<li>Plums</ul></nav><p>.</p>"
    assert read_page(page).text == "Apples\nPears\nPlums\n."


def test_an_unclosed_svg_does_not_swallow_the_page() -> None:
    page = (
        '<title>Icons</title><svg viewBox="0 0 1 1"><title>i</title><path d="M0 0"><p>Lighthouses'
    )
    assert (read_page(page).title, read_page(page).text) == ("Icons", "Lighthouses")


@pytest.mark.parametrize(
    "tag", ["noscript", "video src=x", "object data=x", "canvas", "nav", "aside", "header", "math", "select"]
)  # fmt: skip
def test_no_element_left_open_swallows_the_page(tag: str) -> None:
    assert (
        "lighthouses" in read_page(f"<title>T</title><{tag}><p>A paragraph about lighthouses").text
    )


def test_soft_hyphens_are_no_letters_and_form_fields_are_words_apart() -> None:
    page = (
        "<title>Kran&shy;ken&shy;haus</title><p>Wald&shy;rand <b>light</b>houses</p>"
        "<select><option>marzipan</option><option>nougat</option></select><button>Yes</button><button>No</button>"
        "<ul><li>one<li>two</ul><table><tr><td>a</td><td>b</td></tr></table>first<br>second"
    )
    found = read_page(page)
    assert found.title == "Krankenhaus"
    assert found.text.split("\n") == [
        "Waldrand lighthouses", "marzipan", "nougat", "Yes", "No", "one", "two", "a b", "first", "second",
    ]  # fmt: skip


def test_language_author_and_date_of_the_head() -> None:
    page = (
        '<html lang="cs-CZ"><meta name=author content="J. Novák">'
        '<meta property="article:published_time" content="1999-05-01"><meta name=viewport content=x><p>Ahoj'
    )
    found = read_page(page)
    assert found.lang == "cs-CZ"
    assert found.fields == {"author": "J. Novák", "date": "1999-05-01"}


def test_a_page_nested_without_end_is_refused_at_once() -> None:
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"100,000 deep within each other; the limit is 5,000"):
        read_page("<div>" * 100_000 + "x")
    assert time.perf_counter() - start < 5
    assert read_page("<div>" * (MAX_DEPTH - 1) + "x").text == "x"
    assert read_page("<p>a<span>b</span></p>" * 20_000).text.count("\n") == 19_999
