"""What goes into a worker together with an attack. Standard library and the plugin API only."""
