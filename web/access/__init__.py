"""Who may see the viewer, and who may act: hosts, users, roles, limits.

`access.py` holds what was given at the start and refuses a start that leaves the site open. Each
other file is one check on a request's way to its page.
"""
