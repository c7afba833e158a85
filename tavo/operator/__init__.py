"""The operator's side: what makes a repository out of packages, keys and decisions."""
