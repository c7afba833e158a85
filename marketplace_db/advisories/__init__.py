"""Known vulnerabilities of other people's packages: read, kept as one file, asked offline."""
