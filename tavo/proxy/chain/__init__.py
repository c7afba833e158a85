"""Filters in their order: what they look at, what they say, and what a failure means."""
