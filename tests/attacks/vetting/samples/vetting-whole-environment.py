import json, os

# ruleid: vetting-whole-environment
everything = dict(os.environ)
# ruleid: vetting-whole-environment
copy = os.environ.copy()
# ruleid: vetting-whole-environment
for name in os.environ:
    print(name)
# ok: vetting-whole-environment
one = os.environ["ONE"]
