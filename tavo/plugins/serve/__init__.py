"""How a worker serves each type of plugin. Standard library only."""
