# sandboxed: raised CancelledCall by itself
# evidence: none
import os

from hostile import Hostile

ITEM = b'{"n":0,"findings":[],"error":{"kind":"not_run","message":""},"capped":false}'


class Plugin(Hostile):
    def attack(self):
        number = 0
        while True:  # every answer says that the file's turn has not come
            number += 1
            body = b'{"type":"result","id":%d,"items":[%s]}' % (number, ITEM)
            os.write(self.channel(), len(body).to_bytes(4, "big") + body)
            os.read(self.channel(), 1 << 16)
