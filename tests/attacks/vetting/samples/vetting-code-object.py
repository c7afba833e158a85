import json, marshal, types

# ruleid: vetting-code-object
code = marshal.loads(DATA)
# ruleid: vetting-code-object
code = types.CodeType(0, 0)
# ruleid: vetting-code-object
run.__code__ = other.__code__
# ok: vetting-code-object
value = json.loads(DATA)
