import os
import tarfile


def unpack(archive: tarfile.TarFile, folder: str) -> None:
    for member in archive.getmembers():
        path = os.path.join(folder, member.name)
        if member.issym():
            target = os.path.realpath(os.path.join(os.path.dirname(path), member.linkname))
            if not target.startswith(folder + os.sep):
                continue
            # ok: archive-link-is-not-checked
            os.symlink(member.linkname, path)


def unpack_checked(archive: tarfile.TarFile, folder: str) -> None:
    for member in archive.getmembers():
        if member.issym():
            # ok: archive-link-is-not-checked
            archive.extract(member, folder, filter="data")


def unpack_without_links(archive: tarfile.TarFile, folder: str) -> None:
    for member in archive.getmembers():
        if member.issym():
            raise ValueError(member.name)
        # ok: archive-link-is-not-checked
        archive.extract(member, folder)
