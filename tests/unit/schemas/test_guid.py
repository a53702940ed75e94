"""GUIDs as clients write them."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from schemas.guid import parse_guid, render_guid
from tests.support.documents import GUID


@given(st.uuids())
def test_a_guid_is_read_as_it_was_written(guid: UUID) -> None:
    assert parse_guid(render_guid(guid)) == guid


def test_a_guid_is_written_in_capitals_behind_its_prefix() -> None:
    assert render_guid(UUID(GUID)) == f"GUID:{GUID.upper()}"
