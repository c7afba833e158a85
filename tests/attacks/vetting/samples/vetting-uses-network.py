# ruleid: vetting-uses-network
import socket as s
# ruleid: vetting-uses-network
from urllib.request import urlopen
# ruleid: vetting-uses-network
import requests
# ok: vetting-uses-network
from urllib.parse import quote
# ok: vetting-uses-network
import json
