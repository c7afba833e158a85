"""The escape list: what a hostile plugin would try, run for real, and what came of it."""
