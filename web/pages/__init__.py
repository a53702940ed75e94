"""The pages, a module for each group; each answers a GET and changes nothing."""

from web.pages import (
    audit,
    client,
    clients,
    collections,
    dead,
    gaps,
    history,
    live,
    message,
    messages,
    metrics,
    reference,
    resyncs,
    serial,
    start,
    top,
    topic,
    topics,
    why,
)

#: The routes of all pages.
ROUTERS = tuple(
    page.router
    for page in (
        *(start, live),
        *(clients, client, history, why, serial),
        *(topics, topic, collections, top),
        *(gaps, resyncs, dead),
        *(messages, message),
        *(audit, metrics, reference),
    )
)
