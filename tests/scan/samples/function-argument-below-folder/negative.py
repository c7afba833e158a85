import os
from pathlib import Path

UPLOAD_DIR = "uploads"


class LocalStore:
    def _get_full_path(self, key: str) -> Path:
        path = (self.root_path / key).resolve()
        if not path.is_relative_to(self.root_path):
            raise ValueError(key)
        # ok: function-argument-below-folder
        return path

    def put(self, file_name, content):
        target = self.root_path / os.path.basename(file_name)
        # ok: function-argument-below-folder
        target.write_bytes(content)

    def _settings_path(self, key: str) -> Path:
        # ok: function-argument-below-folder
        return self.root_path / "settings.json"


def save(output_dir, name, text):
    # ok: function-argument-below-folder
    with open(os.path.join(output_dir, name), "w") as file:
        file.write(text)


def delete(file_id: str):
    if ".." in file_id:
        raise ValueError(file_id)
    # ok: function-argument-below-folder
    os.remove(os.path.join(UPLOAD_DIR, file_id))


def page(number: int):
    # ok: function-argument-below-folder
    return open(os.path.join(UPLOAD_DIR, f"{number}.txt")).read()


def download(folder, info):
    # ok: function-argument-below-folder
    with open(os.path.join(folder, os.path.basename(info.filename)), "wb") as file:
        file.write(fetch(info.url))


class Keys:
    def _get_path(self, key: str) -> Path:
        if not re.match(r"^[a-zA-Z0-9_\-]+$", key):
            raise ValueError(key)
        # ok: function-argument-below-folder
        return self.root_path / key
