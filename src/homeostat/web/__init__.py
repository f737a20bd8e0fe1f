"""How people and programs reach the operator: the live page, the JSON API and the event streams.

Always on 127.0.0.1. It decides nothing: every request becomes a call of the Console.

    listener = listen(port)
    app = create_app(console, token=..., config=..., port=port_of(listener), ...)
    server = Server(app, listener)
"""

from homeostat.web.app import create_app
from homeostat.web.server import Server, listen

__all__ = ["Server", "create_app", "listen"]
