"""waitress with Tandem's manners: a port in use is explained, Ctrl-C and SIGTERM end it cleanly."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Any

from flask import Flask

from configs.errors import ConfigError

__all__ = ["LOOPBACK", "is_loopback", "listen", "run"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_HEADER = (
    1 << 20
)  # bytes: a query of 100,000 letters, percent-encoded, is refused by us, with a reason


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(app: Flask, host: str, port: int, threads: int, max_body: int = 16) -> tuple[Any, str]:
    """A waitress server that already accepts connections, and its URL. `max_body` in MiB. Raises ConfigError."""
    from waitress import create_server

    sockets = _sockets(host, port)
    server = create_server(
        app,
        sockets=sockets,
        threads=threads,
        ident=None,
        max_request_header_size=MAX_HEADER,
        # the application refuses what is too large with a reason; this is for what is far too large
        max_request_body_size=(max_body + 16) << 20,
        clear_untrusted_proxy_headers=True,
    )
    return server, _url(host, int(sockets[0].getsockname()[1]))


def _sockets(host: str, port: int) -> list[socket.socket]:
    """One for each address of `host` (localhost has two), bound to one port.

    waitress would bind too, but leaves its socket and pipe open when that fails.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sockets.append(socket.socket(family, kind, protocol))
            if os.name != "nt":  # there it would let two servers share a port
                sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sockets[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sockets[-1].bind((address[0], port, *address[2:]))
            port = int(sockets[-1].getsockname()[1])
            sockets[-1].listen(1024)
    except (
        OSError,
        UnicodeError,
    ) as error:  # UnicodeError: a host name with an empty or long label
        for bound in sockets:
            bound.close()
        raise ConfigError(_cure(host, port, error)) from error
    return sockets


def run(server: Any) -> None:
    """Serve until Ctrl-C or SIGTERM; requests under way are finished."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    # waitress warns of each request that waits for a thread: the latency histogram tells that better
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
    try:
        server.run()
    finally:
        server.close()


def _url(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::", ""):
        host = "127.0.0.1"  # what a browser on this machine can open
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _cure(host: str, port: int, error: OSError | UnicodeError) -> str:
    place = f"{host}:{port}"
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; choose another, for example --port {port + 1}"
    if isinstance(error, PermissionError):
        return f"{place}: this user may not listen there; choose a port above 1023, for example --port 8000"
    return (
        f"{place} is no address of this machine ({error}); leave --host out, or use --host 0.0.0.0"
    )
