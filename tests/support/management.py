"""RabbitMQ's management API, as far as tests need it."""

import base64
import json
import urllib.request
from typing import Any
from urllib.parse import quote, urlsplit


class Management:
    """One broker's management API; paths begin after `/api/`, and `call` quotes their parts."""

    def __init__(self, url: str) -> None:
        """Take the URL with user and password in it."""
        parts = urlsplit(url)
        secret = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        self.user = parts.username or ""
        self._base = f"{parts.scheme}://{parts.hostname}:{parts.port}/api/"
        self._headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json"}
        # The environment's proxy cannot reach 127.0.0.1 of this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def create_vhost(self, name: str) -> None:
        """Create a virtual host, with all rights for our user."""
        self.call("PUT", "vhosts", name, body={})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.call("PUT", "permissions", name, self.user, body=everything)

    def delete_vhost(self, name: str) -> None:
        """Delete it with its queues; connections to it are closed."""
        self.call("DELETE", "vhosts", name)

    def call(self, method: str, *path: str, body: object = None) -> Any:
        """Call the API; errors are raised as `urllib.error.HTTPError`.

        Returns:
            The parsed answer; None when it is empty.
        """
        request = urllib.request.Request(
            self._base + "/".join(quote(part, safe="") for part in path),
            method=method,
            headers=self._headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        with self._opener.open(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None
