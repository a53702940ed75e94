"""Read what arrived in the queue of the relay."""

from producers.store import SentMessage
from runtime.broker import Delivery
from schemas import topology
from schemas.digest import digest
from schemas.report import Report
from schemas.report_reader import parse_report
from tests.support.processes import take_all


def taken(amqp_url: str) -> list[Delivery]:
    """Take and acknowledge everything in the queue of the relay."""
    return take_all(amqp_url, topology.REPORTS)


def reports(deliveries: list[Delivery]) -> list[Report]:
    return [parse_report(delivery.body) for delivery in deliveries]


def headers(delivery: Delivery) -> dict[str, object]:
    """The headers of the report, without those that the broker adds."""
    return {
        name: value
        for name, value in (delivery.properties.headers or {}).items()
        if not name.startswith("x-")
    }


def messages(deliveries: list[Delivery]) -> set[SentMessage]:
    return {
        SentMessage(report.client_id, m.serial or 0, digest(m))
        for report in reports(deliveries)
        for m in report.messages
    }
