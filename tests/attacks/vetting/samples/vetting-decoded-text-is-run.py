import base64, codecs, json, marshal, os, zlib, subprocess

# ruleid: vetting-decoded-text-is-run
exec(base64.b64decode("eA=="))
text = zlib.decompress(DATA).decode()
# ruleid: vetting-decoded-text-is-run
eval(compile(text, "x", "exec"))
# ruleid: vetting-decoded-text-is-run
os.system(bytes.fromhex("6964").decode())
# ruleid: vetting-decoded-text-is-run
exec("".join(chr(c - 1) for c in NUMBERS))
# ruleid: vetting-decoded-text-is-run
subprocess.run(codecs.decode("vq", "rot13"), shell=True)
# ruleid: vetting-decoded-text-is-run
__import__("so"[::-1])
# ok: vetting-decoded-text-is-run
value = json.loads(base64.b64decode(DATA))
# ok: vetting-decoded-text-is-run
eval("1 + 1")
