"""PDF, DOCX, EPUB and XML files, made here byte by byte."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import pytest
from reading import read, write

from indexer.schema import Document


def pdf(*pages: str, title: str = "", password: bool = False) -> bytes:
    """A PDF of the standard font; a page's lines follow each other."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"]  # fmt: skip
    kids = []
    for page in pages:
        lines = page.encode("cp1252").split(b"\n")
        shown = b"BT /F1 12 Tf 14 TL 50 700 Td " + b" T* ".join(b"(" + line + b") Tj" for line in lines) + b" ET"  # fmt: skip
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(shown), shown))
        objects.append(b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>" % len(objects))  # fmt: skip
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), b" ".join(kids))
    objects.append(b"<</Title(%s)/Author(A. Author)>>" % title.encode())
    info = len(objects)
    out = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    locked = b"/Encrypt<</Filter/Standard/V 1/R 2/O(%s)/U(%s)/P -1>>/ID[(a)(a)]" % (b"o" * 32, b"u" * 32) if password else b""  # fmt: skip
    return out + b"trailer<</Size %d/Root 1 0 R/Info %d 0 R%s>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, info, locked, start)  # fmt: skip


def test_a_pdf_is_its_pages_with_divided_words_joined(tmp_path: Path) -> None:
    page = "Die Brücke wird im Som-\nmer gesperrt, sagt Jean-\nPaul."
    file = write(tmp_path / "a.pdf", pdf(page, "Second page.", title="Flood"))
    (document,) = read(file).documents
    assert (document.id, document.title, document.fields) == (
        "a.pdf",
        "Flood",
        {"author": "A. Author"},
    )
    assert (
        " ".join(document.text.split())
        == "Die Brücke wird im Sommer gesperrt, sagt Jean-Paul. Second page."
    )
    assert "\n\nSecond page." in document.text


def test_pdfs_without_text_damaged_or_encrypted_are_told(tmp_path: Path) -> None:
    write(tmp_path / "a.pdf", pdf(""))
    write(tmp_path / "b.pdf", b"%PDF-1.4 nothing")
    write(tmp_path / "c.pdf", pdf("secret", password=True))
    assert [reason for _, reason in read(tmp_path).rejects] == [
        "the PDF has 1 pages and no text: perhaps it was scanned; recognise its text first (ocrmypdf)",
        "a damaged PDF: Failed to load document (PDFium: Data format error).",
        "the PDF is encrypted: save a copy without a password",
    ]


def test_a_docx_gives_paragraphs_tables_and_footnotes(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    document = docx.Document()
    document.add_heading("Bridge", 1)
    document.add_paragraph("The old ").add_run("bri").bold = True
    document.paragraphs[-1].add_run("dge is closed.")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    document.core_properties.title = "Report"
    document.core_properties.author = "A. Author"
    document.core_properties.language = "en-GB"
    out = io.BytesIO()
    document.save(out)
    (found,) = read(write(tmp_path / "a.docx", out.getvalue())).documents
    assert found == Document(
        "a.docx", "Bridge\nThe old bridge is closed.\nleft\nright", "Report", "", "en", {"author": "A. Author"}
    )  # fmt: skip


def test_without_the_extra_a_file_is_set_aside_with_the_command_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    monkeypatch.setitem(sys.modules, "docx", None)
    write(tmp_path / "a.pdf", pdf("x"))
    write(tmp_path / "b.docx", b"PK")
    write(tmp_path / "c.txt", "text")
    found = read(tmp_path)
    assert found.ids == ["c.txt"]
    assert [reason for _, reason in found.rejects] == [
        "reading a PDF needs the package pypdfium2; install it with: pip install '.[files]' (in Tandem's folder)",
        "reading a DOCX file needs the package python-docx; install it with: pip install '.[files]' (in Tandem's folder)",
    ]


def epub(**parts: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:x"><rootfiles><rootfile full-path="OEBPS/a.opf"/></rootfiles></container>',
        )
        archive.writestr(
            "OEBPS/a.opf",
            '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
            "<dc:title>Kniha</dc:title><dc:language>cs</dc:language><dc:creator>J. Novák</dc:creator></metadata>"
            '<manifest><item id="two" href="b%20b.xhtml" media-type="application/xhtml+xml"/>'
            '<item id="one" href="a.xhtml" media-type="application/xhtml+xml"/>'
            '<item id="pic" href="p.png" media-type="image/png"/></manifest>'
            '<spine><itemref idref="one"/><itemref idref="two"/><itemref idref="pic"/></spine></package>',
        )
        archive.writestr("OEBPS/a.xhtml", parts.get("first", "<p>První kapitola.</p>"))
        archive.writestr("OEBPS/b b.xhtml", "<p>Druhá kapitola.</p>")
    return out.getvalue()


def test_an_epub_is_its_chapters_in_reading_order(tmp_path: Path) -> None:
    (document,) = read(write(tmp_path / "a.epub", epub())).documents
    assert document == Document(
        "a.epub", "První kapitola.\n\nDruhá kapitola.", "Kniha", "", "cs", {"author": "J. Novák"}
    )


def test_a_zipped_file_that_unpacks_to_a_bomb_or_is_none_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", b"\0" * 200_000_001)
    write(tmp_path / "a.epub", out.getvalue())
    write(tmp_path / "b.epub", b"none")
    write(tmp_path / "c.docx", out.getvalue())
    reasons = [reason for _, reason in read(tmp_path).rejects]
    assert "unpacks to 200,000,001 bytes" in reasons[0]
    assert reasons[1].startswith("a damaged EPUB, or an encrypted one")
    assert "unpacks to 200,000,001 bytes" in reasons[2]


def test_xml_gives_running_text_and_elements_on_lines(tmp_path: Path) -> None:
    text = (
        '<?xml version="1.0" encoding="iso-8859-2"?><TEI xmlns="http://x" xml:lang="cs"><head>'
        "<title>Most</title></head><body><p>Starý <hi>dře</hi>věný\n most.</p><p>Druhý.</p></body></TEI>"
    )
    (document,) = read(write(tmp_path / "a.xml", text.encode("iso-8859-2"))).documents
    assert document == Document("a.xml", "Most\nStarý dřevěný most.\nDruhý.", "Most", "", "cs")


def growing() -> str:
    """XML of five entities, each a hundred of the one before."""
    entities = ['<!ENTITY x0 "yyyyyyyyyy">']
    entities += [f'<!ENTITY x{n} "{f"&x{n - 1};" * 100}">' for n in range(1, 6)]
    return f"<!DOCTYPE a [{''.join(entities)}]><a>&x5;</a>"


@pytest.mark.parametrize("content", ["<a><b></a>", growing()])
def test_xml_that_is_none_or_grows_without_end_is_refused(tmp_path: Path, content: str) -> None:
    found = read(write(tmp_path / "a.xml", content))
    assert found.documents == []
    assert found.rejects[0][1].startswith("no XML: ")
