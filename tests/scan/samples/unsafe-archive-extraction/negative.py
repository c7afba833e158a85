import shutil
import tarfile
import zipfile


def model(path, target):
    with tarfile.open(path) as archive:
        # ok: unsafe-archive-extraction
        archive.extractall(target, filter="data")


def checked(path, target):
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            if not is_within(target, member.name):
                raise ValueError(member.name)
        # ok: unsafe-archive-extraction
        archive.extractall(target)


def chosen(path, target):
    with tarfile.open(path) as archive:
        # ok: unsafe-archive-extraction
        archive.extractall(target, members=safe_members(archive))


def zipped(path, target):
    with zipfile.ZipFile(path) as archive:
        # ok: unsafe-archive-extraction
        archive.extractall(target)


def unpacked(target):
    # ok: unsafe-archive-extraction
    shutil.unpack_archive("corpus.zip", target)


def filtered(target):
    # ok: unsafe-archive-extraction
    shutil.unpack_archive("corpus.tar", target, filter="data")


def checked_by_name_of_the_check(path, target):
    check_tarfile_members(path)
    with tarfile.open(path) as archive:
        # ok: unsafe-archive-extraction
        archive.extractall(target)
