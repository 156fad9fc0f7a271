"""A real browser, for tests of pages: headless Chromium, of any size, light or dark."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

from selenium import webdriver


class Browser:
    """One tab. Use it as a context manager.

    Raises:
        FileNotFoundError: there is no browser. A test that needs one fails then: a skipped test shows nothing.
    """

    def __enter__(self) -> Browser:
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if chromium is None or driver is None:
            raise FileNotFoundError(
                "there is no chromium or no chromedriver; as root, run: scripts/debian_packages test"
            )
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self._driver = webdriver.Chrome(options, webdriver.ChromeService(driver))
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.quit()

    def look_like(self, width: int, height: int, scheme: str, scale: float = 1.0) -> None:
        """Be a screen of so many CSS pixels, whose user prefers ``light`` or ``dark``."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, page: Path) -> None:
        """Load a page from the disk. What was said and asked for before is forgotten."""
        self.said()
        self.asked_for()
        self._driver.get(page.as_uri())

    def run(self, script: str) -> Any:
        """What a function body in JavaScript returns; the page's own rules for scripts do not hold for it."""
        return self._driver.execute_script(script)

    def said(self) -> list[str]:
        """What has come to the console since the last time."""
        return [entry["message"] for entry in self._driver.get_log("browser")]

    def asked_for(self) -> list[str]:
        """The addresses that were asked for since the last time."""
        messages = [json.loads(entry["message"])["message"] for entry in self._driver.get_log("performance")]
        asked = [one["params"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        return [params["request"]["url"] for params in asked]

    def take_picture(self, place: Path, height: int, *, top: str = "body") -> None:
        """A PNG of a part of the page, as wide as the screen, from the element on that a selector finds."""
        width, at = self.run(f"return [innerWidth, document.querySelector('{top}').getBoundingClientRect().top]")
        clip = {"x": 0, "y": at, "width": width, "height": height, "scale": 1}
        shot = {"format": "png", "clip": clip, "captureBeyondViewport": True}
        picture = self._driver.execute_cdp_cmd("Page.captureScreenshot", shot)
        place.write_bytes(base64.b64decode(picture["data"]))
