"""The pages of messages and of the API in a browser: a live tail, and no barrier."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_selenium_python import Axe
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from loader.store.chunks import ChunkStore
from tests.integration.web.test_messages import store
from tests.support.browser import chromium, needs_chromium, requested, without_scripts
from tests.support.viewers import Viewer
from tests.support.world import load, message, report

__all__ = ["store"]

pytestmark = needs_chromium


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    with chromium(tmp_path / "profile", width=1280, height=900) as driver:
        yield driver


def rows(browser: Chrome) -> list[str]:
    """The texts of all rows at one moment: a live page may replace them at any other."""
    script = "return Array.from(document.querySelectorAll('main tbody tr'), row => row.innerText)"
    found: list[str] = browser.execute_script(script)
    return found


def test_a_live_page_shows_what_is_loaded_meanwhile(
    viewer: Viewer, store: ChunkStore, browser: Chrome
) -> None:
    load(store, report(message(1, topic="the first")))
    browser.get(f"{viewer.url}messages")
    browser.find_element(By.LINK_TEXT, "Follow what is loaded").click()
    WebDriverWait(browser, 30).until(lambda _: len(rows(browser)) == 1)
    load(store, report(message(2, topic="the second")))
    WebDriverWait(browser, 30).until(lambda _: len(rows(browser)) == 2)
    assert "the second" in rows(browser)[0]
    # The browser's own pages have other schemes.
    asked = {url.netloc for url in map(urlsplit, requested(browser)) if url.scheme == "http"}
    assert asked == {urlsplit(viewer.url).netloc}


def test_without_scripts_the_page_has_rows_and_a_link_to_reload(
    viewer: Viewer, store: ChunkStore, browser: Chrome
) -> None:
    load(store, report(message(1)))
    without_scripts(browser)
    browser.get(f"{viewer.url}messages?live=true")
    load(store, report(message(2)))
    browser.find_element(By.LINK_TEXT, "Reload").click()
    WebDriverWait(browser, 30).until(lambda _: len(rows(browser)) == 2)


def test_no_page_has_a_barrier(viewer: Viewer, store: ChunkStore, browser: Chrome) -> None:
    load(store, report(message(1)._replace(details="<a/>")))
    browser.get(f"{viewer.url}messages")
    one = browser.find_element(By.CSS_SELECTOR, "tbody th a").get_attribute("href")
    for page in ("messages", "messages?live=true", "messages?topic_id=nothing", "api", str(one)):
        browser.get(page if page.startswith("http") else f"{viewer.url}{page}")
        axe = Axe(browser)
        axe.inject()
        assert axe.run()["violations"] == [], page
