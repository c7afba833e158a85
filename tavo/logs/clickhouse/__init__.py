"""Logs that lie in ClickHouse: the same rules, asked of it in its own SQL."""
