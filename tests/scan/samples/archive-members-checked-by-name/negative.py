import tarfile
import zipfile


def filtered(file, folder):
    with tarfile.open(file) as archive:
        for member in archive.getmembers():
            print(member.name)
        # ok: archive-members-checked-by-name
        archive.extractall(folder, filter="data")


def links_too(file, folder):
    with tarfile.open(file) as archive:
        for member in archive.getmembers():
            if ".." in member.name or member.issym() or member.islnk():
                raise ValueError(member.name)
        # ok: archive-members-checked-by-name
        archive.extractall(folder)


def only_files(file, folder):
    with tarfile.open(file) as archive:
        for member in archive:
            if member.isreg() and is_inside(member.name, folder):
                # ok: archive-members-checked-by-name
                archive.extract(member, folder)


def where_links_lead(file, folder):
    with tarfile.open(file) as archive:
        for member in archive.getmembers():
            check(folder, member.name)
            check(folder, member.linkname)
        # ok: archive-members-checked-by-name
        archive.extractall(folder)


def zipped(file, folder):
    with zipfile.ZipFile(file) as archive:
        # ok: archive-members-checked-by-name
        archive.extractall(folder)
