import tarfile


def unpack(file, folder, options):
    with tarfile.open(file) as archive:
        # ok: archive-members-filtered-by-own-code
        archive.extractall(folder, members=safe_members(archive), filter="data")
        # ok: archive-members-filtered-by-own-code
        archive.extractall(folder, filter="data")
        # ok: archive-members-filtered-by-own-code
        archive.extractall(folder, members=[archive.getmember("model.bin")])
        # ok: archive-members-filtered-by-own-code
        archive.extractall(folder, members=chosen(archive), **options)
