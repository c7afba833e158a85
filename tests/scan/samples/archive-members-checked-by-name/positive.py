import os
import tarfile


def unpack(file, folder):
    with tarfile.open(file) as archive:
        for member in archive.getmembers():
            if ".." in member.name or member.name.startswith("/"):
                raise ValueError(member.name)
        # ruleid: archive-members-checked-by-name
        archive.extractall(folder)


def restore(self, file, folder):
    with tarfile.open(file, "r:gz") as tar:
        safe = []
        for member in tar.getmembers():
            if is_path_within_directory(member.name, folder):
                safe.append(member)
        # ruleid: archive-members-checked-by-name
        tar.extractall(path=folder, members=safe)


def one_by_one(file, folder):
    tar = tarfile.open(file)
    for member in tar:
        path = os.path.realpath(os.path.join(folder, member.name))
        if not path.startswith(folder):
            continue
        # ruleid: archive-members-checked-by-name
        tar.extract(member, folder)


def by_names(file, folder):
    with tarfile.open(file) as tar:
        for name in tar.getnames():
            assert not os.path.isabs(name)
        # ruleid: archive-members-checked-by-name
        tar.extractall(folder)
