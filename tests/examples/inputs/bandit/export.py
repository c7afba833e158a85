"""Exports orders; written in a hurry."""

import hashlib
import pickle
import subprocess


def export(cursor, customer, target):
    cursor.execute("SELECT * FROM orders WHERE customer = '%s'" % customer)
    subprocess.call("gzip " + target, shell=True)
    return hashlib.md5(target.encode()).hexdigest()


def restore(path):
    with open(path, "rb") as stream:
        return pickle.load(stream)
