import shutil
import tarfile


def model(path, target):
    with tarfile.open(path) as archive:
        # ruleid: unsafe-archive-extraction
        archive.extractall(target)


def bundle(stream, target):
    tar = tarfile.open(fileobj=stream, mode="r:gz")
    # ruleid: unsafe-archive-extraction
    tar.extractall(path=target)
    tar.close()


def at_once(path):
    # ruleid: unsafe-archive-extraction
    tarfile.open(path, "r:gz").extractall("models")


def one(path, name):
    with tarfile.open(path, "r") as archive:
        # ruleid: unsafe-archive-extraction
        archive.extract(name, "models")


def data_set(target):
    # ruleid: unsafe-archive-extraction
    shutil.unpack_archive("corpus.tar.gz", target)
