"""The page in a real browser: headless Chromium, driven over the WebDriver protocol.

Skipped, with the reason, where Chromium or its driver is not installed (Debian: chromium, chromium-driver).
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
        session = self._call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self.url += f"/{session['sessionId']}"

    def close(self) -> None:
        self._call("DELETE", "")
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

    def wait(self, script: str, seconds: float = 10) -> None:
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
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from None
