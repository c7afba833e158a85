"""The plugin author's kit: what `tavo plugin` does."""
