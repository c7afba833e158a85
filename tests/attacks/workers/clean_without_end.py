# sandboxed: protocol protocol
# evidence: none
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        ranges = b",".join([b"[0,1]"] * 1_300_000)
        body = b'{"type":"result","id":1,"items":[],"clean":[' + ranges + b"]}"
        view = memoryview(len(body).to_bytes(4, "big") + body)
        while view:
            view = view[os.write(self.channel(), view) :]
