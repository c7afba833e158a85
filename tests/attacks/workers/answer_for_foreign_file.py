# sandboxed: protocol item 5
# evidence: none
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        body = b'{"type":"partial","id":1,"items":[{"n":5,"findings":[],"error":null,"capped":false}]}'
        os.write(self.channel(), len(body).to_bytes(4, "big") + body)
