"""Lists ``siochat`` among the commands of ``twistd`` and ``twist``."""

from twisted.application.service import ServiceMaker

siochat = ServiceMaker("Socket.IO chat", "siotwisted.tap", "A Socket.IO chat server.", "siochat")
