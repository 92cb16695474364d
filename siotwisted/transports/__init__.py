"""Where bytes leave and arrive: one transport of Socket.IO each, as Twisted Web resources and an Autobahn factory."""
