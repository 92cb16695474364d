"""Published Socket.IO clients in a real browser against the real ``siochat`` process."""
