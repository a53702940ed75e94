"""`statesys web`."""

from typing import Any

import click
import uvicorn

from runtime.command import settings_and_logs
from runtime.setting_options import log_options, take_log_flags
from web.access.connections import BoundedConnection
from web.access.options import WEB, access_from, access_options
from web.app import create_app
from web.listening import Listen, ListenType
from web.server import Server
from web.site import Site

#: Seconds that open requests may take after SIGTERM.
_END_WITHIN = 3


@click.command()
@click.option(
    "--listen",
    envvar=f"{WEB}LISTEN",
    type=ListenType(),
    default="127.0.0.1:8080",
    show_default=True,
    metavar="HOST:PORT",
    help="Where browsers find it; port 0 takes a free one.",
)
@access_options
@log_options
def web(*, listen: Listen, **given: Any) -> None:
    """Show the site in a browser: what is wrong, clients, messages, gaps, queues.

    Only this machine can see it, and it only shows. For others to see it, people have to log in
    (--users or --proxy-user-header), over TLS (--tls-certificate or --behind-proxy). Those with the
    role operator may ask clients, move dead letters, use the quarantine and make collections; the
    audit says who did what. Ctrl-C ends it.

    \b
    Example:
      statesys web
      statesys web --listen 127.0.0.1:9090
      statesys web --listen 0.0.0.0:8443 --host-name viewer.example --users users \\
          --tls-certificate viewer.pem --tls-key viewer.key
    """
    logging = take_log_flags(given)
    access, tls = access_from(listen, **given)
    settings = settings_and_logs(**logging)
    site = Site(settings)
    app = create_app(site, access)
    socket = listen.bound()
    click.echo(f"http{'s' if tls else ''}://{listen.shown(socket)}/", err=True)
    server = Server(
        uvicorn.Config(
            app,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=_END_WITHIN,
            http=BoundedConnection,
            loop="web.access.connections:BoundedLoop",
            ws="none",
            timeout_keep_alive=15,
            h11_max_incomplete_event_size=32 * 1024,
            # It would take a client's word for its address; `Proxy` says whom to believe.
            proxy_headers=False,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
        ),
        site.live,
    )
    server.run(sockets=[socket])
