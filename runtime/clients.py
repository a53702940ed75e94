"""Which client a person means: a GUID as it stands in reports, logs or tables."""

from uuid import UUID

import click


class ClientType(click.ParamType[UUID]):
    """A client id: `GUID:…` or bare, in any letter case, with or without braces."""

    name = "client"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> UUID:
        """Read it."""
        if isinstance(value, UUID):
            return value
        text = str(value).strip()
        bare = text[5:].strip() if text[:5].upper() == "GUID:" else text
        try:
            return UUID(bare)
        except ValueError:
            self.fail(f"{text!r} is no client id; write it as GUID:xxxxxxxx-xxxx-…", param, ctx)


client_argument = click.argument("client_id", metavar="CLIENT", type=ClientType())
