"""The chat as an application: ``twistd -ny examples/chat.tac``, then open http://127.0.0.1:8080/."""

from twisted.application.service import Application

from siotwisted.tap import Options, makeService

options = Options()
options.parseOptions(["--listen", "tcp:8080:interface=127.0.0.1"])

application = Application("siochat")
makeService(options).setServiceParent(application)
