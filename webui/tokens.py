"""API tokens: their file, how one is checked, and how often each may be used.

A token is 256 random bits, shown once; the file holds its SHA-256, which for so many bits is as hard to
turn back as any slower hash. It knows nothing of HTTP.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import hmac
import json
import logging
import math
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import ConfigError

__all__ = ["Token", "TokenFile", "Tokens", "made", "parse_limit"]

log = logging.getLogger(__name__)

PREFIX = "tandem_"
"""How every token begins, so that scanners for leaked secrets know one."""
_PERIODS = {"s": 1, "min": 60, "h": 3600}  # seconds
_LIMIT = re.compile(r"(\d{1,7})/(s|min|h)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Token:
    """One token as the file knows it."""

    name: str
    sha256: str
    write: bool = False
    limit: str = ""
    """Requests in a period, for example 60/min; empty: no limit."""
    created: str = ""


def parse_limit(text: str) -> tuple[int, int]:
    """How many requests in how many seconds. Raises ConfigError."""
    found = _LIMIT.fullmatch(text)
    if found is None or not int(found[1]):
        raise ConfigError(f"the limit must look like 60/min, 5/s or 1000/h, not {text!r}")
    return int(found[1]), _PERIODS[found[2]]


def made(name: str, write: bool = False, limit: str = "") -> tuple[str, Token]:
    """A new token: what its holder gets, and what the file keeps. Raises ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r}: a token's name has up to 64 letters, digits, dots and dashes")
    if limit:
        parse_limit(limit)
    secret = PREFIX + secrets.token_urlsafe(32)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return secret, Token(name, _digest(secret), write, limit, created)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


class TokenFile:
    """The file of tokens, JSON that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Token]:
        """The tokens; none where there is no file. Raises ConfigError for a file that is something else."""
        try:
            values = json.loads(self.path.read_text("utf-8"))
            return [_token(entry) for entry in values["tokens"]]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read ({error.strerror})") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self.path}: is no file of tokens; make one with: tandem token add NAME --file FILE"
            ) from error

    def add(self, token: Token) -> None:
        """Raises ConfigError for a name that is taken."""
        tokens = self.read()
        if any(known.name == token.name for known in tokens):
            raise ConfigError(
                f"{self.path}: has a token {token.name!r}; choose another name, or remove it first"
            )
        self._write([*tokens, token])

    def remove(self, name: str) -> None:
        """Raises ConfigError for a name that is not there."""
        tokens = self.read()
        left = [token for token in tokens if token.name != name]
        if len(left) == len(tokens):
            names = ", ".join(token.name for token in tokens) or "none"
            raise ConfigError(f"{self.path}: has no token {name!r}; it has: {names}")
        self._write(left)

    def _write(self, tokens: list[Token]) -> None:
        text = json.dumps({"tokens": [dataclasses.asdict(token) for token in tokens]}, indent=1)
        new = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            new.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink()
            raise ConfigError(f"{self.path}: cannot be written ({error.strerror})") from error


def _token(entry: Any) -> Token:
    """Raises ValueError or TypeError for an entry that is none."""
    token = Token(**entry)
    texts = (token.name, token.sha256, token.limit, token.created)
    if not all(isinstance(value, str) for value in texts) or not isinstance(token.write, bool):
        raise ValueError("a value of another type")
    if not re.fullmatch("[0-9a-f]{64}", token.sha256) or not _NAME.fullmatch(token.name):
        raise ValueError("no SHA-256, or no name")
    if token.limit:
        try:
            parse_limit(token.limit)
        except ConfigError as error:
            raise ValueError(str(error)) from error
    return token


class Tokens:
    """The tokens that a server takes: follows its file, so that one that is removed ends at once."""

    def __init__(self, file: TokenFile, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._known: list[Token] = []
        self._left: dict[str, tuple[float, float]] = {}  # SHA-256 -> requests left, when

    def all(self) -> list[Token]:
        """Those of the file as it is now. A file that cannot be read any more has none."""
        try:
            found = self._file.path.stat()
        except OSError:
            return []
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        with self._lock:
            if stamp != self._stamp:
                try:
                    self._known = self._file.read()
                except ConfigError as error:
                    log.warning("no token is taken: %s", error)
                    self._known = []
                self._stamp = stamp
                held = {token.sha256 for token in self._known}
                self._left = {key: value for key, value in self._left.items() if key in held}
            return self._known

    def holder(self, secret: str) -> Token | None:
        """The token that this secret is, compared with every one in the same time."""
        digest = _digest(secret)
        found = None
        for token in self.all():
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found

    def wait(self, token: Token) -> int:
        """Take one request of the token's limit: 0, or the seconds after which one is free again.

        A bucket that fills evenly: the whole number may be used at once, then one as each share of time passes.
        """
        if not token.limit:
            return 0
        most, seconds = parse_limit(token.limit)
        with self._lock:
            now = self._clock()
            left, before = self._left.get(token.sha256, (float(most), now))
            left = min(float(most), left + (now - before) * most / seconds)
            if left < 1:
                self._left[token.sha256] = left, now
                return math.ceil((1 - left) * seconds / most)
            self._left[token.sha256] = left - 1, now
            return 0
