# sandboxed: protocol protocol
# evidence: none
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        body = b'{"type":"http","id":1,"url":"https://example.com"}'
        os.write(self.channel(), len(body).to_bytes(4, "big") + body)
