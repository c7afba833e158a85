"""Looking at what was stored: Datasette over logs, in the browser of this machine."""
