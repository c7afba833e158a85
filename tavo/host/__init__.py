"""Plugins on this machine: installations, grants, the sandbox, workers."""
