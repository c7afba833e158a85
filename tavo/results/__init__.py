"""What runs found: one store, one fingerprint, one gate, and the ways out of it."""
