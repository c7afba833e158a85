# sandboxed: threads threads
# evidence: none
import threading
import time

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        threading.stack_size(65536)
        for _ in range(40):
            threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
        time.sleep(5)
