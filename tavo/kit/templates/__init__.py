"""The files that `tavo plugin init` writes.

Rules this package keeps:
- no folder is called `tests`, because the single file leaves such folders out, and no file ends
  with `.py`, because it takes those for code of its own;
- `every/` is for all types, the other folders for one; a last `.txt` is taken off a name;
- `@ID@`, `@PUBLISHER@`, `@NAME@`, `@TYPE@` and `@CLASS@` are filled in, nothing else;
- what comes out passes `tavo plugin validate` and `tavo plugin test` as it is; a test holds it.
"""
