from typing import Annotated

from fastapi import APIRouter, Depends, Request

from app.auth import get_current_user, get_database

router = APIRouter()
guarded = APIRouter(dependencies=[Depends(get_current_user)])
open_router = APIRouter()


@router.get("/chats/{chat_id}")
async def read_chat(chat_id: str, user=Depends(get_current_user)):
    return Chats.get(chat_id, user.id)


# ok: route-without-login-of-siblings
@router.get("/shares/{share_id}")
async def read_share(share_id: str):
    return Shares.get(share_id)


# ok: route-without-login-of-siblings
@router.get("/models")
async def list_models():
    return Models.all()


# ok: route-without-login-of-siblings
@router.get("/files/{file_id}", dependencies=[Depends(get_current_user)])
async def read_file(file_id: str):
    return Files.get(file_id)


# ok: route-without-login-of-siblings
@router.delete("/files/{file_id}")
async def delete_file(file_id: str, user: Annotated[User, Depends(get_current_user)]):
    return Files.delete(file_id, user.id)


# ok: route-without-login-of-siblings
@router.post("/files/{file_id}")
async def change_file(file_id: str, request: Request):
    check(request.headers["authorization"])
    return Files.change(file_id)


# ok: route-without-login-of-siblings
@guarded.get("/notes/{note_id}")
async def read_note(note_id: str):
    return Notes.get(note_id)


# ok: route-without-login-of-siblings
@open_router.get("/papers/{paper_id}")
async def read_paper(paper_id: str, database=Depends(get_database)):
    return database.paper(paper_id)
