import json, pickle, pkgutil, urllib.request
from pathlib import Path

# ruleid: vetting-data-is-run
exec(open("data.txt").read())
# ruleid: vetting-data-is-run
exec(Path("data.txt").read_text())
# ruleid: vetting-data-is-run
eval(urllib.request.urlopen("https://example.org").read())
with open("data.bin", "rb") as stream:
    # ruleid: vetting-data-is-run
    pickle.loads(stream.read())
# ruleid: vetting-data-is-run
exec(pkgutil.get_data("pack", "logo.png"))
# ok: vetting-data-is-run
json.loads(Path("data.json").read_text())
