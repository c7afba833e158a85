import os
from pathlib import Path

UPLOAD_DIR = "uploads"


class LocalStore:
    def __init__(self, root_path):
        self.root_path = Path(root_path)

    def _get_full_path(self, key: str) -> Path:
        # ruleid: function-argument-below-folder
        return self.root_path / key

    def put(self, file_name, content):
        target = self.root_path.joinpath(file_name)
        # ruleid: function-argument-below-folder
        target.write_bytes(content)


def get_excel_path(filename: str) -> str:
    if os.path.isabs(filename):
        return filename
    # ruleid: function-argument-below-folder
    return os.path.join(UPLOAD_DIR, filename)


def delete(file_id: str):
    path = os.path.join(UPLOAD_DIR, file_id)
    # ruleid: function-argument-below-folder
    os.remove(path)


def external_data(tensor, base_dir):
    path = os.path.join(base_dir, tensor.location)
    # ruleid: function-argument-below-folder
    with open(path, "rb") as data:
        return data.read()


def download(folder, info):
    # ruleid: function-argument-below-folder
    with open(os.path.join(folder, info.filename), "wb") as file:
        file.write(fetch(info.url))


class Keys:
    def _get_path(self, key: str) -> Path:
        if not re.match(r"^[a-zA-Z0-9_.\-/]+$", key):
            raise ValueError(key)
        # ruleid: function-argument-below-folder
        return self.root_path / key


def get_local_path(url: str):
    file = url.split("?d=")[1]
    file = os.path.join(UPLOAD_DIR, file)
    if os.path.exists(file):
        # ruleid: function-argument-below-folder
        return file
    return None


@router.get("/pictures/{folder}/{name}")
async def picture(folder: str, name: str):
    pictures = Path(config_folder()) / "pictures" / folder
    # ruleid: function-argument-below-folder
    return await storage.get_file(folder=pictures, file_name=name)
