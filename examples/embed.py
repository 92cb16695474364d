"""
Socket.IO in a site that exists already: its pages stay what they are, and push news to whoever looks at them.

``python examples/embed.py``, then open http://127.0.0.1:8080/ .
"""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import LoopingCall
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from siotwisted import SocketIO, SocketIOResource

PAGE = b"""<!DOCTYPE html><title>Time</title><h1>The server's time: <output>?</output></h1>
<script>
const socket = new WebSocket(`ws://${location.host}/push/websocket`);
socket.onmessage = ({data}) => {
  const [, text] = /^~m~\\d+~m~(.*)/s.exec(data);
  if (text.startsWith("~h~")) socket.send(data);
  else if (text.startsWith("~j~")) document.querySelector("output").value = JSON.parse(text.slice(3)).time;
};
</script>"""


class Page(Resource):
    """A page of the site as it was."""

    def render_GET(self, request: Request) -> bytes:
        """The page."""
        return PAGE


site = Resource()
site.putChild(b"", Page())

sio = SocketIO(reactor)
site.putChild(b"push", SocketIOResource(sio))  # the endpoint may have any name and place

LoopingCall(lambda: sio.broadcast({"time": round(reactor.seconds())})).start(1)
serverFromString(reactor, "tcp:8080:interface=127.0.0.1").listen(Site(site))
reactor.run()
