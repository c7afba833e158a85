import tarfile


def unpack(file, folder, kind):
    opener = tarfile.open
    with tarfile.open(file) as archive:
        # ruleid: archive-members-filtered-by-own-code
        archive.extractall(folder, members=safe_members(archive))
    with opener(file) as archive:
        # ruleid: archive-members-filtered-by-own-code
        archive.extractall(folder, members=filter_safe_paths(archive))
    tar = tarfile.open(file)
    # ruleid: archive-members-filtered-by-own-code
    tar.extractall(path=folder, members=self.members_of(tar, kind))
