"""The catalog, its packages and its mirrors. A catalog opens only from a verified file."""
