"""The generations of clients: their URLs, their words, and how they begin."""
