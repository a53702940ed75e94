"""Makes and deletes collections, and says so to an operator."""

from typing import TYPE_CHECKING

from console.queries.collections import CollectionRow
from runtime.collection_rules import parse_rule, require_collection_name
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from loader.store.collections import CollectionStore


def make(store: "CollectionStore", name: str, rule: str, *, replace: bool) -> str:
    """Make a collection, or give one another rule.

    Returns:
        What was done.

    Raises:
        StatesysError: the name or the rule cannot be used.
        SettingsError: there is a collection of the name, and `replace` is not set.
    """
    require_collection_name(name)
    parse_rule(rule)
    if not store.create(name, rule.strip(), replace=replace):
        raise SettingsError(
            f"there is a collection {name!r} already; --replace gives it another rule"
        )
    return (
        f"made collection {name}; `statesys collections members {name}` lists its members now, "
        "a loader notes within a minute who they are"
    )


def delete(store: "CollectionStore", found: CollectionRow) -> str:
    """Delete a collection; its clients stay as they are.

    Returns:
        What was done, with the rule, so that the collection can be made again.
    """
    store.delete(found.name)
    return f"deleted collection {found.name}; its rule was: {found.rule}"
