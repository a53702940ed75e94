"""What the URLs of lists have in common, of pages and of the API."""

from typing import Annotated

from pydantic import Field

from console.places import Token
from web.fields import Filter, Optional

#: How many entries a page has.
Limit = Annotated[int, Field(ge=1, le=1000, description="Entries at most.")]
#: Where a list goes on.
After = Annotated[
    Optional[Token], Field(description="Goes on where the last page said: its `next`.")
]


class Listed(Filter):
    """The values of a list without restrictions."""

    after: After = None
    limit: Limit = 50
