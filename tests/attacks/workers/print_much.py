# sandboxed: none
# evidence: none
from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        for _ in range(64):
            print('{"type":"result","id":1,"items":[]}' * 500)
