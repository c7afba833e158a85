"""The editor server: findings while somebody types, over the Language Server Protocol."""
