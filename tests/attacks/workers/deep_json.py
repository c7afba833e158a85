# sandboxed: protocol protocol
# evidence: none
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        body = b'{"type":"result","id":1,"items":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
        os.write(self.channel(), len(body).to_bytes(4, "big") + body)
