"""RabbitMQ's own pages in a real browser, as an operator reads them.

Set STATESYS_SCREENSHOT_DIR to a directory to have pictures of the pages saved there.
"""

import os
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from producers.fleet import Fleet
from producers.plan import Plan
from producers.store import Store
from relay.service import Relay
from runtime.devserver import Endpoints
from runtime.settings import load_settings
from schemas.report import Lane
from schemas.topology import INCOMING, REPORTS
from tests.support.browser import chromium, needs_chromium

#: Seconds. A page loads its numbers again every 5 s, and those are up to 5 s old.
PATIENCE = 30
#: Pixels: from the depth down to the first lines of a message, in one picture.
WIDTH, HEIGHT = 1100, 1850
SCREENSHOTS = "STATESYS_SCREENSHOT_DIR"
CLIENTS = 12
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)

pytestmark = needs_chromium


class Pages:
    """RabbitMQ's pages, used with clicks and keys."""

    def __init__(self, driver: Chrome, url: str) -> None:
        parts = urlsplit(url)
        self._driver = driver
        self._base = f"{parts.scheme}://{parts.hostname}:{parts.port}/"
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")

    def sign_in(self) -> None:
        self._driver.get(self._base)
        self._find("input[name=username]").send_keys(self._user)
        self._find("input[name=password]").send_keys(self._password)
        self._find("#login input[type=submit]").click()
        self._find("#logout")

    def open_queue(self, vhost: str, name: str) -> None:
        self._driver.get(f"{self._base}#/queues/{vhost}/{name}")
        self._find(f"//h1/b[normalize-space()='{name}']")

    def await_ready(self, messages: int) -> None:
        """Wait until the page shows `messages` as ready."""
        self._find(
            "//th[contains(normalize-space(), 'Ready')]"
            f"/following-sibling::td[normalize-space()='{messages}']"
        )

    def get_message(self) -> dict[str, str]:
        """Press "Get Message(s)" and return what the page shows of the message, by name."""
        self._unfold("Get messages")
        form = "form[action='#/queues/get']"
        # RabbitMQ requeues the message in its old position.
        Select(self._find(f"{form} [name=ackmode]")).select_by_value("ack_requeue_true")
        self._find(f"{form} input[type=submit]").click()
        rows = self._find("#msg-wrapper .box").find_elements(By.XPATH, "./table/tbody/tr")
        facts = [row.find_elements(By.XPATH, "./*") for row in rows]
        return {name.text.split()[0]: value.text for name, value in facts}

    def save(self, name: str) -> None:
        """Save a picture of the page, if STATESYS_SCREENSHOT_DIR is set."""
        directory = os.environ.get(SCREENSHOTS)
        if directory:
            # The charts are behind the numbers; after two more loads they agree.
            for _ in range(2):
                loaded = self._find("#status").text
                self._find(f"//*[@id='status' and normalize-space()!='{loaded}']")
            # Hide the name of the machine.
            self._driver.execute_script(
                "for (const line of document.querySelectorAll('#topnav li'))"
                "  if (line.innerText.includes('Cluster')) line.style.visibility = 'hidden'"
            )
            assert self._driver.save_screenshot(str(Path(directory) / name))

    def _unfold(self, heading: str) -> None:
        section = self._find(f"//h2[normalize-space()='{heading}']/..")
        if "section-hidden" in (section.get_attribute("class") or ""):
            section.find_element(By.TAG_NAME, "h2").click()

    def _find(self, selector: str) -> WebElement:
        """Wait for an element that is shown; XPath begins with a slash, CSS does not."""
        by = By.XPATH if selector.startswith("/") else By.CSS_SELECTOR
        patience = WebDriverWait(
            self._driver, PATIENCE, ignored_exceptions=[StaleElementReferenceException]
        )

        def shown(driver: Chrome) -> list[WebElement]:
            return [e for e in driver.find_elements(by, selector) if e.is_displayed()]

        return patience.until(shown, f"nothing is shown at {selector}")[0]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chrome]:
    # The environment's proxy is not meant for 127.0.0.1.
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with chromium(tmp_path / "profile", width=WIDTH, height=HEIGHT) as driver:
        yield driver


@pytest.fixture
def pages(driver: Chrome, endpoints: Endpoints) -> Pages:
    pages = Pages(driver, endpoints.management_url)
    pages.sign_in()
    return pages


@pytest.fixture
def published(amqp_url: str, tmp_path: Path) -> tuple[str, int]:
    """A virtual host after one forward cycle of a small fleet: its name and number of reports."""
    with (
        Store(tmp_path / "fleet", seed=1, clients=CLIENTS, now=NOW) as store,
        Fleet(store, amqp_url, Plan(clients=CLIENTS), clock=lambda: NOW) as fleet,
    ):
        fleet.publish_cycles(1)
        fleet.drain()
        return urlsplit(amqp_url).path.removeprefix("/"), store.totals().reports


def test_the_queue_of_reports_shows_its_depth_and_readable_headers(
    published: tuple[str, int], pages: Pages
) -> None:
    vhost, reports = published
    pages.open_queue(vhost, REPORTS)
    pages.await_ready(reports)
    message = pages.get_message()
    pages.save("rabbitmq-queue.png")

    assert message["Exchange"] == REPORTS
    properties = facts(message["Properties"])
    assert str(UUID(properties["client_id"])) == properties["client_id"]
    first, last = int(properties["first_serial"]), int(properties["last_serial"])
    assert first == 1
    assert int(properties["messages"]) == last - first + 1
    assert properties["delivery_mode"] == "2"
    # The message is still in the queue.
    pages.await_ready(reports)


def test_a_batch_is_readable_as_text(
    published: tuple[str, int], amqp_url: str, pages: Pages, tmp_path: Path
) -> None:
    relay = Relay(load_settings(home=tmp_path, amqp_url=amqp_url), threading.Event())
    relay.run(exit_when_empty=True)

    pages.open_queue(published[0], INCOMING[Lane.NORMAL])
    pages.await_ready(1)
    message = pages.get_message()
    pages.save("rabbitmq-batch.png")

    batch = facts(message["Properties"])
    assert message["Payload"].startswith('<Batch ID="')
    assert message["Payload"].count("<SMX ID=") == int(batch["reports"])
    assert message["Payload"].count("<StateMessage ") == int(batch["messages"])


def facts(properties: str) -> dict[str, str]:
    """The properties and headers of a message, by name."""
    # The first line begins with "headers:".
    lines = properties.removeprefix("headers:").splitlines()
    return dict(re.findall(r"(\w+):\s*(\S+)$", "\n".join(lines), re.MULTILINE))
