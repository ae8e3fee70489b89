"""Bytes of a file to text: UTF-8 first, UTF-16 and UTF-32 by their mark, older encodings by name or detection.

A file that is UTF-8 is never read as anything else. Knows nothing of what the text means.
"""

from __future__ import annotations

import codecs
import contextlib
import difflib
import encodings.aliases
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from configs.errors import ConfigError
from indexer.text.rejects import OnReject, Reject

__all__ = ["DETECT", "Decoding", "check_encoding", "lines", "whole"]

DETECT = "detect"
"""The value of `--encoding` that has tables and JSON lines detected too; text files always are."""

_MARKS = (  # UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONFIDENT = 0.1
"""chardet's confidence from which a detection is used. Of 1,628 pairs of NTREX-128 sentences in 28 legacy
encodings 1,619 reached it and 1,615 came out right, of 1,400 beginnings of 50 characters 1,289 did."""
_ZERO = (
    "a zero byte: is this a binary file? UTF-16 without its mark is read with --encoding utf-16-le"
)
_SAMPLE = 1 << 20  # bytes that an encoding is detected from
_DAMAGED = "\udcff"  # stands for bytes that a wide encoding cannot decode; no file can hold it
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_XML = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{1,40})", re.IGNORECASE)


@dataclass(slots=True)
class Decoding:
    """How files that are not UTF-8 are decoded, and which were.

    `encoding`: a codec's name, DETECT, or None (text files are detected; tables and JSON lines, whose
    ids and fields programs rely on, are set aside).
    """

    encoding: str | None = None
    used: dict[str, list[str]] = field(default_factory=dict)
    """Encoding -> the files that were decoded with it after detection."""

    def note(self, name: str, place: str) -> None:
        places = self.used.setdefault(name, [])
        if place not in places[-1:]:
            places.append(place)


def check_encoding(name: str) -> str:
    """The name, if Python has such a text encoding or it is DETECT. Raises ConfigError."""
    if name == DETECT:
        return name
    with contextlib.suppress(LookupError):
        if codecs.lookup(name)._is_text_encoding:
            return name
    known = [DETECT, *encodings.aliases.aliases, *set(encodings.aliases.aliases.values())]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, 1)
    hint = f"; did you mean {near[0]}?" if near else "; for example cp1250, latin-1 or detect"
    raise ConfigError(f"--encoding {name}: no such encoding{hint}")


def detected(data: bytes) -> str | None:
    """The encoding of text that is not UTF-8, as Python names it; None when it cannot be told."""
    import chardet

    found = chardet.detect(data[:_SAMPLE])
    name, confidence = found["encoding"], found["confidence"]
    if name is None or confidence < _CONFIDENT or name.lower() in ("ascii", "utf-8"):
        return None
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def _cure(guess: str | None) -> str:
    if guess is None:
        return "save the file as UTF-8, or name its encoding with --encoding, for example cp1250"
    return f"it looks like {guess}: save the file as UTF-8, or read it with --encoding {guess}"


def whole(data: bytes, place: str, on_reject: OnReject, decoding: Decoding) -> str | None:
    """The text of a file that was read whole; None when it was rejected."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _tried(data, name, place, on_reject)
    wide = _wide(decoding.encoding)
    if wide is not None and b"\0" in data[:65536]:
        return _tried(data, wide, place, on_reject)
    if b"\0" in data[:65536]:
        on_reject(Reject(place, _ZERO))
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start
    declared = _CHARSET.search(data, 0, 1024) or _XML.match(data)
    if declared is not None:
        # LookupError: no such encoding, or one that is none of text
        with contextlib.suppress(LookupError, UnicodeError):
            return data.decode(declared[1].decode("ascii"))
    if decoding.encoding not in (None, DETECT):
        assert decoding.encoding is not None
        return _tried(data, decoding.encoding, place, on_reject)
    guess = detected(data)
    if guess is not None:
        with contextlib.suppress(UnicodeDecodeError):
            text = data.decode(guess)
            decoding.note(guess, place)
            return text
    line = data.count(b"\n", 0, at) + 1
    shown = data[:2000].decode("utf-8", "backslashreplace")
    on_reject(Reject(f"{place}:{line}", f"no UTF-8; {_cure(None)}", shown))
    return None


def _tried(data: bytes, name: str, place: str, on_reject: OnReject) -> str | None:
    try:
        return data.decode(name)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        shown = data[:2000].decode("utf-8", "backslashreplace")
        on_reject(Reject(f"{place}:{line}", f"no {name} ({error.reason})", shown))
        return None


def _wide(encoding: str | None) -> str | None:
    """The codec's name when it takes two or four bytes a character."""
    if encoding is None or encoding == DETECT:
        return None
    name = codecs.lookup(encoding).name
    return name if name.startswith(("utf-16", "utf-32")) else None


def lines(
    raw: io.BufferedReader[Any], place: str, on_reject: OnReject, decoding: Decoding
) -> Iterator[tuple[int, str]]:
    """(line number, text with its line end) of each line that can be decoded and is no binary.

    The others are rejected. Lines end with a line feed, or, in a file without any, with a carriage return.
    """
    head = raw.peek(1 << 16)[: 1 << 16]
    name = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    wide = name if name in ("utf-16", "utf-32") else _wide(decoding.encoding)
    if wide is not None and (name is not None or b"\0" in head):
        yield from _wide_lines(raw, wide, head, place, on_reject)
        return
    end = b"\r" if b"\r" in head and b"\n" not in head else b"\n"
    codec: str | None = None  # of a file that turned out not to be UTF-8
    guess: str | None = None
    for number, line in enumerate(_divided(raw, end), 1):
        if number == 1 and name == "utf-8-sig":
            line = line[3:]
        try:
            text = line.decode("utf-8") if codec is None else line.decode(codec)
        except UnicodeDecodeError as error:
            if codec is None and guess is None:
                guess = detected(head if not _is_utf8(head) else line)
                if decoding.encoding == DETECT and guess is not None:
                    codec = guess
                    decoding.note(guess, place)
                elif decoding.encoding not in (None, DETECT):
                    codec = decoding.encoding
            decoded = None
            if codec is not None:
                with contextlib.suppress(UnicodeDecodeError):
                    decoded = line.decode(codec)
            if decoded is None:
                reason = f"no {codec or 'UTF-8'} at byte {error.start + 1} of the line"
                cure = "" if codec is not None else f"; {_cure(guess)}"
                shown = line[:2000].decode("utf-8", "backslashreplace")
                on_reject(Reject(f"{place}:{number}", reason + cure, shown))
                continue
            text = decoded
        if "\0" in text:
            on_reject(Reject(f"{place}:{number}", _ZERO, text[:2000]))
            continue
        yield number, text


def _is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8, but for a last character that is cut off."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def _divided(raw: io.BufferedReader[Any], end: bytes) -> Iterator[bytes]:
    """Lines with their ends."""
    if end == b"\n":
        yield from raw
        return
    kept = b""
    while chunk := raw.read(1 << 16):
        *complete, kept = (kept + chunk).split(end)
        for line in complete:
            yield line + end
    if kept:
        yield kept


def _mark_damage(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _DAMAGED, error.end


def _wide_lines(
    raw: io.BufferedReader[Any], codec: str, head: bytes, place: str, on_reject: OnReject
) -> Iterator[tuple[int, str]]:
    codecs.register_error("tandem-damaged", _mark_damage)
    start = codecs.getincrementaldecoder(codec)("tandem-damaged").decode(head)
    end = "\r" if "\r" in start and "\n" not in start else "\n"
    text_lines = io.TextIOWrapper(raw, codec, "tandem-damaged", newline=end)
    try:
        for number, line in enumerate(text_lines, 1):
            if number == 1:
                line = line.removeprefix("\ufeff")  # a named utf-16-le keeps the mark
            if _DAMAGED in line or "\0" in line:
                problem = "a zero character" if "\0" in line else f"no {codec}"
                shown = line[:2000].replace(_DAMAGED, "\ufffd")
                on_reject(Reject(f"{place}:{number}", f"{problem}: the file is damaged", shown))
                continue
            yield number, line
    finally:
        text_lines.detach()  # whoever opened the file closes it
