"""`/api`: the reference of the API, drawn by the server."""

import re

from tests.support.viewers import Viewer


def test_every_path_is_told_with_an_example_and_its_errors(empty_viewer: Viewer) -> None:
    text = empty_viewer.get("/api").text
    paths = empty_viewer.get("/openapi.json").data["paths"]
    assert len(paths) > 10
    assert all(path.startswith("/api/v1/") for path in paths)
    assert re.findall(r"<code>GET (/api/v1/[^<]*)</code>", text) == list(paths)
    assert f"curl {empty_viewer.url}api/v1/clients/NB-000017/why" in text
    assert text.count("503 <a") == len(paths)


def test_every_link_within_the_page_leads_somewhere(empty_viewer: Viewer) -> None:
    text = empty_viewer.get("/api").text
    assert set(re.findall(r'href="#(schema-[^"]*)"', text)) <= set(
        re.findall(r'id="(schema-[^"]*)"', text)
    )


def test_an_error_below_api_is_json(empty_viewer: Viewer) -> None:
    got = empty_viewer.get("/api/v1/clients/NOBODY")
    assert got.status == 404
    assert "no client is named" in got.data["detail"]
    assert empty_viewer.get("/api/v1/nothing").data == {"detail": "Not Found"}
    got = empty_viewer.get("/api/v1/messages?limit=0")
    assert got.status == 422
    assert "limit" in got.data["detail"]
