import os
import shutil
import tempfile
import uuid
import zipfile
from pathlib import Path

from fastapi import FastAPI, UploadFile
from werkzeug.utils import secure_filename

app = FastAPI()
UPLOADS = Path("uploads").resolve()


def unpack(archive, target):
    for name in archive.namelist():
        path = (target / name).resolve()
        if not path.is_relative_to(target):
            raise ValueError(name)
        # ok: archive-member-to-path
        path.write_bytes(archive.read(name))


@app.post("/documents")
async def upload(file: UploadFile):
    # ok: archive-member-to-path
    with open(UPLOADS / secure_filename(file.filename), "wb") as out:
        shutil.copyfileobj(file.file, out)


@app.post("/named")
async def named(file: UploadFile):
    ending = os.path.splitext(file.filename)[1]
    # ok: archive-member-to-path
    with open(UPLOADS / f"{uuid.uuid4()}{ending}", "wb") as out:
        shutil.copyfileobj(file.file, out)


@app.post("/temporary")
async def temporary(file: UploadFile):
    with tempfile.NamedTemporaryFile(suffix=file.filename, delete=False) as out:
        out.write(await file.read())
    # ok: archive-member-to-path
    os.unlink(out.name)


def listed(path):
    with zipfile.ZipFile(path) as archive:
        # ok: archive-member-to-path
        return [name for name in archive.namelist() if name.endswith(".json")]
