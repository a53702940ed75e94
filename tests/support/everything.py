"""Importing this imports all of statesys, as the fork server does once for all its commands."""

import gc
import pkgutil
from importlib import import_module

_PACKAGES = ("lab", "web", "console", "loader", "producers", "relay", "runtime", "schemas")

for _name in _PACKAGES:
    for _module in pkgutil.walk_packages(import_module(_name).__path__, f"{_name}."):
        import_module(_module.name)

# Else the first full collection in a forked process copies the memory of all modules.
gc.freeze()
