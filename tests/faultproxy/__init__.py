"""Real servers and real clients, a proxy between them that harms their connections, and a judge of what is lost."""
