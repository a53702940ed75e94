"""The web viewer: pages, a JSON API and metrics over the questions of the console.

It reads through `console.queries` and acts through the functions of the commands, so there is no
second truth. `app.py` puts the rooms together; `pages/` has a module for each group of pages.
"""
