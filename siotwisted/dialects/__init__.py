"""All that differs between generations of clients, as data: one module for each, and the reading of URLs."""
