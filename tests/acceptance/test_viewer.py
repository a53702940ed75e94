"""The viewer in a real browser, on the site that a demo leaves behind."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from axe_selenium_python import Axe
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from runtime import devserver
from tests.support import commands
from tests.support.browser import chromium, needs_chromium, requested, without_scripts
from tests.support.waiting import wait_until

pytestmark = needs_chromium

#: Seconds that a page may take to show something.
PATIENCE = 20
WIDTH, HEIGHT = 1280, 1400
SCREENSHOTS = "STATESYS_SCREENSHOT_DIR"


class Viewer:
    """A `statesys web` process, and the browser that looks at it."""

    def __init__(self, driver: Chrome, base: str) -> None:
        self.driver = driver
        self.base = base

    def open(self, path: str) -> None:
        self.driver.get(self.base + path)

    def find(self, selector: str) -> Any:
        """Wait for an element; XPath begins with a slash, CSS does not."""
        by = By.XPATH if selector.startswith("/") else By.CSS_SELECTOR
        return WebDriverWait(self.driver, PATIENCE).until(
            lambda driver: driver.find_elements(by, selector), f"nothing at {selector}"
        )[0]

    def click(self, selector: str) -> None:
        """Click an element, once the page is there that has it."""

        def click(_: Chrome) -> bool:
            self.find(selector).click()
            return True

        self._waiting().until(click)

    def await_text(self, pattern: str) -> None:
        """Wait for a text on the page, maybe the next one, that the last click leads to."""
        self._waiting().until(
            lambda _: re.search(pattern, self.find("main").text), f"no text like {pattern}"
        )

    def _waiting(self) -> WebDriverWait[Chrome]:
        # An element of the page before may be found, and be gone when it is used.
        return WebDriverWait(
            self.driver, PATIENCE, ignored_exceptions=[StaleElementReferenceException]
        )

    def path(self) -> str:
        return str(self.driver.current_url).removeprefix(self.base)

    def complaints(self) -> list[str]:
        """What the browser has written to its console since the last call."""
        entries: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [str(entry["message"]) for entry in entries]

    def save(self, name: str) -> None:
        """Save a picture of the page, if STATESYS_SCREENSHOT_DIR is set."""
        directory = os.environ.get(SCREENSHOTS)
        if directory:
            assert self.driver.save_screenshot(str(Path(directory) / name))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    yield home
    devserver.down(home / "demo", purge=True)


@pytest.fixture(scope="module")
def base(home: Path) -> Iterator[str]:
    """Run a demo, then the command that its last line names; yield the address of the viewer."""
    environment = commands.bare_environment(home)
    done = commands.run("demo", "--clients", "40", "--cycles", "2", env=environment, timeout=110)
    assert done.returncode == 0, done.stderr
    label, _, command = done.stderr.splitlines()[-1].partition(": ")
    assert label == "see it in a browser"
    variable, program, *arguments = shlex.split(command)
    name, _, value = variable.partition("=")
    assert program == "statesys"
    log = home / "web.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "statesys", *arguments, "--listen", "127.0.0.1:0"],
            env={**environment, name: value},
            stderr=output,
        )
    try:
        wait_until(lambda: "http://" in log.read_text(), what="the viewer listens")
        found = re.search(r"http://[0-9.:]+", log.read_text())
        assert found
        yield found[0]
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    profile = tmp_path_factory.mktemp("profile")
    with chromium(profile, width=WIDTH, height=HEIGHT) as driver:
        yield driver


@pytest.fixture
def viewer(driver: Chrome, base: str) -> Viewer:
    requested(driver)
    return Viewer(driver, base)


def pages_of(viewer: Viewer) -> list[str]:
    """The paths of a page of each kind, found by following links."""
    viewer.open("/clients")
    client = viewer.find("main tbody a").get_attribute("href").removeprefix(viewer.base)
    return [
        *("/", "/clients", "/clients?condition=complete", "/clients?name=nobody"),
        *(client, f"{client}/history", f"{client}/serials/1"),
        *("/topics", "/topics/500", "/messages", f"/messages?client={client.rpartition('/')[2]}"),
        *("/gaps", "/resyncs", "/dead", "/collections", "/top", "/pipeline", "/api"),
        "/no-such-page",
    ]


def three_clicks_to_why(viewer: Viewer) -> None:
    viewer.open("/")
    viewer.click("nav a[href='/clients']")
    viewer.click("main tbody th a")
    viewer.click("main a[href*='/why/']")
    wait_until(lambda: "/why/" in viewer.path(), what="the page of the verdict")
    viewer.await_text("complete up to|nothing changed|since")


def test_from_the_start_page_to_why_a_state_is_as_it_is_in_three_clicks(viewer: Viewer) -> None:
    three_clicks_to_why(viewer)


def test_it_works_with_javascript_off(viewer: Viewer) -> None:
    handle = viewer.driver.current_window_handle
    viewer.driver.switch_to.new_window("tab")
    without_scripts(viewer.driver)
    try:
        three_clicks_to_why(viewer)
        viewer.open("/clients")
        viewer.find("input[name=name]").send_keys("nobody")
        viewer.click("main form button")
        viewer.await_text("No client fits")
    finally:
        viewer.driver.close()
        viewer.driver.switch_to.window(handle)


def test_axe_finds_no_barrier_on_any_page(viewer: Viewer) -> None:
    found = {}
    for path in pages_of(viewer):
        viewer.open(path)
        viewer.find("main h1")
        axe = Axe(viewer.driver)
        axe.inject()
        results = axe.run()
        if results["violations"]:
            found[path] = axe.report(results["violations"])
    assert not found, "\n".join(f"{path}: {report}" for path, report in found.items())


def test_no_request_leaves_the_machine_and_no_page_breaks_its_policy(viewer: Viewer) -> None:
    for path in pages_of(viewer):
        viewer.open(path)
        viewer.find("main h1")
        broken = [entry for entry in viewer.complaints() if "Content Security" in entry]
        assert not broken, (path, broken)
    urls = requested(viewer.driver)
    assert len(urls) > 20
    assert all(url.startswith((viewer.base, "data:")) for url in urls), urls


@pytest.mark.parametrize("width", [360, 1280, 3840])
def test_nothing_is_wider_than_the_window(viewer: Viewer, width: int) -> None:
    viewer.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        wide = {}
        for path in pages_of(viewer):
            viewer.open(path)
            viewer.find("main h1")
            inner = viewer.driver.execute_script("return document.documentElement.scrollWidth")
            if inner > width:
                wide[path] = inner
        assert not wide
    finally:
        viewer.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_start_page_goes_on_by_itself(viewer: Viewer) -> None:
    def drawn() -> str:
        return str(viewer.find("[data-live=charts]").get_attribute("innerHTML"))

    viewer.open("/")
    first = drawn()
    wait_until(lambda: drawn() != first, timeout=PATIENCE, what="the charts to be drawn anew")


def test_headings_of_each_page_do_not_skip_a_level(viewer: Viewer) -> None:
    for path in pages_of(viewer):
        viewer.open(path)
        viewer.find("main h1")
        levels = [
            int(heading.tag_name[1])
            for heading in viewer.driver.find_elements(By.CSS_SELECTOR, "h1,h2,h3,h4")
        ]
        assert levels.count(1) == 1, path
        assert all(after - before <= 1 for before, after in pairwise(levels)), path


def test_pictures_of_the_pages(viewer: Viewer) -> None:
    viewer.open("/clients")
    client = viewer.find("main tbody a").get_attribute("href").removeprefix(viewer.base)
    for name, path in {
        "viewer-start.png": "/",
        "viewer-client.png": client,
        "viewer-messages.png": "/messages",
        "viewer-topic.png": "/topics/500",
    }.items():
        viewer.open(path)
        viewer.find("main h1")
        viewer.save(name)
