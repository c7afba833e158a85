"""HTTP/1.1 on both sides of the proxy: connections, framing, time. Judges nothing."""
