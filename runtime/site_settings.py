"""The settings that a site keeps in its database, and what a loader that starts makes of them.

ADR 0011: a loader that starts makes its rules those of the site. ADR 0024: a default is no choice,
so it does not replace what a person imported from a site control file.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.durations import render_value
from runtime.rules import SiteRules
from runtime.settings import Settings
from schemas.errors import SchemaMissing

if TYPE_CHECKING:
    # psycopg is slow to import, and options are made without it.
    from runtime.database import Session

#: Where values come from, in the words of the column `site.origin`.
DEFAULT, OF_A_LOADER, OF_A_FILE = "default", "loader", "site control file"
#: Settings of a loader process that the site keeps only if they were imported.
OWN = ("loader_threads", "loader_chunk_size", "max_chunks_fetched")

#: Columns in the order of SiteRules, then of OWN, then of SiteSettings.
_READ = f"""
SELECT {", ".join(SiteRules._fields)}, {", ".join(OWN)}, imported, origin
FROM statesys.site
"""  # noqa: S608 (names of our own)


class SiteSettings(NamedTuple):
    """The row of the site.

    Attributes:
        rules: what all loaders follow.
        own: settings of each loader process, for those that are given none.
        imported: names of the settings that come from a site control file.
        origin: what wrote the row last: DEFAULT, OF_A_LOADER or OF_A_FILE.
    """

    rules: SiteRules
    own: Mapping[str, int]
    imported: frozenset[str]
    origin: str

    @property
    def values(self) -> dict[str, Any]:
        """All values by name."""
        return {**self.rules._asdict(), **self.own}

    def origin_of(self, name: str) -> str:
        """Where one value comes from."""
        if name in self.imported:
            return OF_A_FILE
        return DEFAULT if self.values[name] == getattr(Settings(), name) else OF_A_LOADER

    def as_text(self) -> dict[str, str]:
        """Name -> value, as a person writes it in a flag."""
        return {name: render_value(value) for name, value in self.values.items()}

    def followed_by(self, given: Settings) -> Settings:
        """The settings of a loader: given ones, then imported ones, then defaults.

        Which of them were given, by a flag or a variable, can still be told afterwards.
        """
        values = self.values
        taken = {name: values[name] for name in self.imported - given.model_fields_set}
        return Settings.model_construct(
            _fields_set=given.model_fields_set, **{**dict(given), **taken}
        )

    def after_start(self, rules: SiteRules, given: Collection[str]) -> "SiteSettings":
        """The row after a loader has started.

        Args:
            rules: those of the loader.
            given: names of the settings that it was given, by a flag or a variable.
        """
        names = set(SiteRules._fields)
        kept = {
            name: value
            for name, value in self.rules._asdict().items()
            if name in self.imported and name not in given
        }
        imported = self.imported - (names & set(given))
        after = self._replace(rules=rules._replace(**kept), imported=imported)
        told = after == self and self.origin != DEFAULT
        return self if told else after._replace(origin=OF_A_LOADER)

    def after_import(self, values: Mapping[str, Any]) -> "SiteSettings":
        """The row after an import, which takes the place of an earlier one."""
        rules = {name: value for name, value in values.items() if name in SiteRules._fields}
        return SiteSettings(
            rules=self.without_import().rules._replace(**rules),
            own={name: value for name, value in values.items() if name in OWN},
            imported=frozenset(values),
            origin=OF_A_FILE,
        )

    def without_import(self) -> "SiteSettings":
        """The row with defaults in the place of what was imported."""
        defaults = SiteRules.of(Settings())
        rules = {name: getattr(defaults, name) for name in self.imported & set(defaults._fields)}
        return SiteSettings(self.rules._replace(**rules), {}, frozenset(), DEFAULT)


def site_settings(session: "Session", *, lock: bool = False) -> SiteSettings:
    """Read the row of the site.

    Args:
        lock: keep others from changing it until the end of the transaction.

    Raises:
        SchemaMissing: the database is not migrated, or lost the row.
        DatabaseUnavailable: as every query.
    """
    with session.transaction() as connection:
        row = connection.execute(_READ + ("FOR UPDATE" if lock else "")).fetchone()
    if row is None:
        raise SchemaMissing("statesys.site has lost its row; a loader that starts writes it")
    rules, own, (imported, origin) = row[: -len(OWN) - 2], row[-len(OWN) - 2 : -2], row[-2:]
    return SiteSettings(
        SiteRules(*rules),
        {name: value for name, value in zip(OWN, own, strict=True) if value is not None},
        frozenset(imported),
        origin,
    )
