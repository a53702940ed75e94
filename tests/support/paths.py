"""Paths in the checkout."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Files that tests read.
DATA = ROOT / "tests" / "data"
#: XML schemas of the contracts.
SCHEMAS = ROOT / "schemas"
#: The page whose commands tests run.
OPERATIONS = ROOT / "docs" / "operations.md"
