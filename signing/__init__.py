"""What we trust and why: digests, keys, attestations, the TUF repository and its client."""
