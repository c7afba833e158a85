import os
import tarfile


def unpack(archive: tarfile.TarFile, folder: str) -> None:
    for member in archive.getmembers():
        path = os.path.join(folder, member.name)
        if member.issym():
            # ruleid: archive-link-is-not-checked
            os.symlink(member.linkname, path)


def unpack_with_tarfile(archive: tarfile.TarFile, folder: str) -> None:
    for member in archive.getmembers():
        path = os.path.join(folder, member.name)
        if not path.startswith(folder + os.sep):
            continue
        if member.isdir():
            os.makedirs(path, exist_ok=True)
        elif member.issym():
            # ruleid: archive-link-is-not-checked
            archive._extract_member(member, path)
