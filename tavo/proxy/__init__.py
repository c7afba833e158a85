"""The traffic proxy: HTTP on both sides; between them an exchange that judges without I/O."""
