"""`tavo proxy run`: one program behind a proxy of its own, for tools whose base URL is fixed."""
