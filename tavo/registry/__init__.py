"""The client of a marketplace: which catalog is trusted, and how a plugin gets onto a machine."""
