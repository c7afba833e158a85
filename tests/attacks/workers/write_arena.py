# sandboxed: raised Error
# evidence: none
import os
import stat

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        for number in range(3, 64):
            try:
                mode = os.fstat(number).st_mode
            except OSError:
                continue
            if stat.S_ISREG(mode):
                os.open(f"/proc/self/fd/{number}", os.O_RDWR)
        raise OSError("no arena could be opened for writing")
