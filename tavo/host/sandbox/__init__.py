"""What a worker may do: Landlock, seccomp, limits, and how much of it a plugin needs."""
