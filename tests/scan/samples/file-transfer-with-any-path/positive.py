import os


class Attachments:
    def download_attachment(self, url: str, target_path: str) -> bool:
        if not os.path.isabs(target_path):
            target_path = os.path.abspath(target_path)
        response = self.session.get(url, stream=True)
        # ruleid: file-transfer-with-any-path
        with open(target_path, "wb") as file:
            for chunk in response.iter_content(8192):
                file.write(chunk)
        return True

    def upload_attachment(self, page: str, file_path: str):
        # ruleid: file-transfer-with-any-path
        with open(file_path, "rb") as file:
            return self.session.post(f"/pages/{page}/files", files={"file": file})

    def send_image(self, chat: str, image_path):
        # ruleid: file-transfer-with-any-path
        return self.bot.send(chat, image_path.read_bytes())
