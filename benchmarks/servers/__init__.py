"""The servers under test: each answers the event ``echo`` to its sender, and sends ``bcast`` on to everybody."""
