# sandboxed: protocol unanswered
# evidence: none
import os
import time

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        body = b'{"type":"result","id":1,"items":[]}'
        os.write(self.channel(), len(body).to_bytes(4, "big") + body)
        time.sleep(5)
