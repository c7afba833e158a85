# ruleid: vetting-uses-native
import ctypes
# ruleid: vetting-uses-native
from ctypes.util import find_library
# ok: vetting-uses-native
import struct
