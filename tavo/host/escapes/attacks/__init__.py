"""One attack per file. They are read as text by the host and run in a worker, never here.

Each file says what it tries (its first line), what would be seen outside of the worker if it worked
(`EVIDENCE`), which part of the sandbox must stop it (`STOPPED_BY`), and what it would mean
(`MEANS`). `NEEDS` names targets besides the folder of files, `LIMITS` limits other than the usual.
"""
