"""`/clients/{client}/why/…`: why one state of a client is unknown or old."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from console.names import topic_sentence
from console.why.evidence import evidence_rows
from console.why.facts import Topic
from console.why.verdict import answer
from web.broker import facts_of
from web.fields import TopicId, TopicType
from web.page import Page, command_line, render
from web.site import Site, TheSite

router = APIRouter()


@router.get("/clients/{client_id}/why/{topic_type}")
def why_type(
    request: Request, site: TheSite, client_id: UUID, topic_type: TopicType
) -> HTMLResponse:
    """Why the states of a topic type are as they are."""
    return _why(request, site, client_id, Topic(topic_type))


@router.get("/clients/{client_id}/why/{topic_type}/{topic_id:path}")
def why_topic(
    request: Request,
    site: TheSite,
    client_id: UUID,
    topic_type: TopicType,
    topic_id: TopicId,
) -> HTMLResponse:
    """Why the state of one topic is as it is."""
    return _why(request, site, client_id, Topic(topic_type, topic_id))


def _why(request: Request, site: Site, client_id: UUID, topic: Topic) -> HTMLResponse:
    facts = facts_of(site, client_id, topic)
    of_topic = [topic.topic_type] if topic.topic_id is None else [*topic]
    page = Page(
        title="Why is this state as it is?",
        command=command_line("statesys why", None, client_id, *of_topic),
        as_of=facts.at,
    )
    return render(
        request,
        "why.html",
        page,
        facts=facts,
        answer=answer(facts),
        evidence=evidence_rows(facts),
        meaning=topic_sentence(topic.topic_type),
    )
