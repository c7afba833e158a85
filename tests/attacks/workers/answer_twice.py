# sandboxed: protocol protocol
# evidence: none
import os

from hostile import Hostile

ITEM = b'{"n":0,"findings":[],"error":null,"capped":false}'


class Plugin(Hostile):
    def attack(self):
        for kind in (b"partial", b"partial"):
            body = b'{"type":"' + kind + b'","id":1,"items":[' + ITEM + b"]}"
            os.write(self.channel(), len(body).to_bytes(4, "big") + body)
