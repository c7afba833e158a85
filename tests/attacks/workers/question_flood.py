# sandboxed: total used up its 3 s
# evidence: none
# limits: wall_s_total: 3, wall_s_per_call: 2, cpu_s_per_file: 60
import json
import os

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        channel, number = self.channel(), 0
        while True:
            number += 1
            question = {"type": "ask", "call": number, "kind": "http", "content": {}}
            body = json.dumps(question).encode()
            os.write(channel, len(body).to_bytes(4, "big") + body)
            if number > 8:  # always some ahead, so that the host never has to wait
                os.read(channel, 1 << 20)
