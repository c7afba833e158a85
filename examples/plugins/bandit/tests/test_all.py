"""Each test of bandit on one line that it is about; the text is never run."""

from main import Bandit

from tavo.plugins.testing import find_in

FLAWS = """
import ftplib
import telnetlib
import xml.etree.cElementTree
import xml.sax
import xml.dom.expatbuilder
import xml.dom.minidom
import xml.dom.pulldom
import lxml
import xmlrpc.client
import pyghmi
import Crypto.Cipher.ARC2
import pycrypto
import wsgiref.handlers
import twisted.web.twcgi
import subprocess
import pickle
import cPickle
import marshal
import hashlib
import os
import random
import ssl
import socket
import tempfile
import urllib.request
import requests
import paramiko
import tarfile
import logging.config
import flask
import jinja2
import mako.template
import torch
import yaml
import markupsafe
from django.utils.safestring import mark_safe
from django.contrib.auth.models import User
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import modes
from Crypto.Hash import MD5
from Crypto.Cipher import DES
from pysnmp.hlapi import CommunityData, UsmUserData

assert name
os.chmod("/etc/passwd", 0o777)
server.bind(("0.0.0.0", 80))
connect(password="correct horse")
def login(password="correct horse"): pass
place = open("/tmp/a")
try:
    work()
except Exception:
    pass
for one in many:
    try:
        work()
    except Exception:
        continue
requests.get("https://a.test")
requests.get("https://a.test", verify=False, timeout=1)
app = flask.Flask("a")
app.run(debug=True)
tarfile.open("a.tar").extractall("b")
pickle.loads(b"")
marshal.loads(b"")
Crypto.Hash.MD5.new()
MD5.new()
DES.new(key)
modes.ECB(iv)
hashlib.md5(b"")
tempfile.mktemp()
eval("1")
mark_safe("<b>")
urllib.request.urlopen(address)
random.random()
telnetlib.Telnet("a")
xml.etree.cElementTree.parse("a")
xml.etree.ElementTree.parse("a")
xml.sax.expatreader.create_parser()
xml.sax.parse("a")
xml.dom.expatbuilder.parse("a")
xml.dom.minidom.parse("a")
xml.dom.pulldom.parse("a")
lxml.etree.parse("a")
ftplib.FTP("a")
ssl._create_unverified_context()
ssl.wrap_socket(ssl_version=ssl.PROTOCOL_SSLv3)
ssl.wrap_socket()
def old(version=ssl.PROTOCOL_SSLv2): pass
rsa.generate_private_key(public_exponent=65537, key_size=1024)
yaml.load(text)
paramiko.client.SSHClient().set_missing_host_key_policy(paramiko.client.AutoAddPolicy)
paramiko.SSHClient().exec_command("ls")
CommunityData("public", mpModel=0)
UsmUserData("a")
subprocess.Popen("ls " + name, shell=True)
subprocess.Popen(["/bin/ls", name])
subprocess.Popen(["ls"])
custom("ls " + name, shell=True)
os.system("ls " + name)
os.spawnl(os.P_WAIT, "ls")
os.system("chown a /x/*")
User.objects.extra(where=["a = %s" % name])
User.objects.raw("SELECT %s" % name)
from django.db.models.expressions import RawSQL
RawSQL("SELECT %s" % name, [])
logging.config.listen(1)
torch.load("a.pt")
jinja2.Environment(autoescape=False)
mako.template.Template("a")
markupsafe.Markup("<b>%s" % name)
wsgiref.handlers.CGIHandler()


def page(name):
    text = name + "b"
    return mark_safe(text)
"""


def test_all_of_them_are_at_work():
    found = {finding.rule_id for finding in find_in(Bandit, {"flaws.py": FLAWS})}
    missing = {rule.id for rule in Bandit.rules} - found
    assert missing == {"B102", "B105", "B608", "B613", "B615", "not-looked-at"}  # test_main.py
