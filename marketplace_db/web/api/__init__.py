"""The REST API of a marketplace: one table of routes that routes, checks and documents.

Rules this package keeps:
- what is in the table is served, checked and documented by it, and nothing else is;
- an answer is a document of the table or a problem (RFC 9457), never a page of a server;
- cookies mean nothing here: who asks says so with `Authorization`, which no other site's page can;
- the bodies of requests are bounded before they are read, and checked before anything happens.
"""
