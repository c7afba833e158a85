import builtins, importlib, os

# ruleid: vetting-computed-name
__import__(NAME)
# ruleid: vetting-computed-name
importlib.import_module("o" + REST)
# ruleid: vetting-computed-name
getattr(os, NAME)("id")
# ruleid: vetting-computed-name
getattr(builtins, "ex" + "ec")
# ruleid: vetting-computed-name
getattr(thing, "".join(PARTS))
# ruleid: vetting-computed-name
().__class__.__base__.__subclasses__()
# ok: vetting-computed-name
importlib.import_module("json")
# ok: vetting-computed-name
getattr(self, name)
# ok: vetting-computed-name
getattr(os, "sep")
