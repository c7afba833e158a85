"""Provider dialects as data in, data out: no I/O here."""
