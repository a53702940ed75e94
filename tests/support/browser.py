"""Debian's chromium without a window, driven by selenium; it reaches 127.0.0.1 only."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

CHROMIUM, CHROMEDRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM.exists() and CHROMEDRIVER.exists()),
    reason=f"needs {CHROMIUM} and {CHROMEDRIVER}; `make browser` installs them",
)


@contextmanager
def chromium(profile: Path, *, width: int, height: int) -> Iterator[Chrome]:
    """Run a browser.

    Args:
        profile: a directory for it alone.
        width, height: of the window, in pixels.
    """
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (
        "--headless=new",
        # Tests run as root in containers, where there is no sandbox and little /dev/shm.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        # The environment's proxy is not meant for 127.0.0.1.
        "--no-proxy-server",
        # Nothing of the browser itself calls home either.
        "--disable-background-networking",
        "--disable-component-update",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}",
        f"--window-size={width},{height}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    # With both paths given, selenium downloads nothing.
    driver = Chrome(options=options, service=ChromeService(executable_path=str(CHROMEDRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def requested(driver: Chrome) -> list[str]:
    """The URLs that pages have asked for since the last call."""
    entries: list[dict[str, Any]] = driver.get_log("performance")  # type: ignore[no-untyped-call]
    events = (json.loads(entry["message"])["message"] for entry in entries)
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]


def without_scripts(driver: Chrome) -> None:
    """Switch JavaScript off for the pages that are opened next."""
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
