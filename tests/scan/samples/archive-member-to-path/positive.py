import os
import shutil
import zipfile
from pathlib import Path

from fastapi import FastAPI, UploadFile

app = FastAPI()
UPLOADS = Path("uploads")


def unpack(archive, target):
    for name in archive.namelist():
        # ruleid: archive-member-to-path
        with open(os.path.join(target, name), "wb") as file:
            file.write(archive.read(name))


def unpack_infos(path, target):
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            destination = Path(target) / info.filename
            # ruleid: archive-member-to-path
            destination.write_bytes(archive.read(info))


@app.post("/documents")
async def upload(file: UploadFile):
    path = UPLOADS / file.filename
    # ruleid: archive-member-to-path
    with open(path, "wb") as out:
        shutil.copyfileobj(file.file, out)
    return {"stored": str(path)}


@app.post("/voices")
async def voice(audio: UploadFile):
    # ruleid: archive-member-to-path
    (UPLOADS / f"voice-{audio.filename}").write_bytes(await audio.read())
