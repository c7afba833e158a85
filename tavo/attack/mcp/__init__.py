"""Attacks on servers of the Model Context Protocol."""
