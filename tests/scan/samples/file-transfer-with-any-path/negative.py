from pathlib import Path

ATTACHMENTS = Path("attachments")


class Attachments:
    def download_attachment(self, url: str, target_path: str) -> bool:
        path = (ATTACHMENTS / target_path).resolve()
        if not path.is_relative_to(ATTACHMENTS):
            raise ValueError(target_path)
        # ok: file-transfer-with-any-path
        with open(path, "wb") as file:
            file.write(self.session.get(url).content)
        return True

    def upload_attachment(self, page: str, file_path: str):
        validate_safe_path(file_path)
        # ok: file-transfer-with-any-path
        with open(file_path, "rb") as file:
            return self.session.post(f"/pages/{page}/files", files={"file": file})

    def upload_document(self, page: str, text: str):
        # ok: file-transfer-with-any-path
        return self.session.post(f"/pages/{page}", data=text)

    def read_settings(self, file_path: str):
        # ok: file-transfer-with-any-path
        return open(file_path).read()


def save_document(file_path: str, text: str):
    # ok: file-transfer-with-any-path
    with open(file_path, "w") as file:
        file.write(text)
