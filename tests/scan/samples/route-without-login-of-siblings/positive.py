from fastapi import APIRouter, Depends

from app.auth import get_current_user, get_verified_user

router = APIRouter()


# ruleid: route-without-login-of-siblings
@router.get("/elements/{element_id}")
async def read_element(element_id: str):
    return Elements.get(element_id)


@router.get("/chats/{chat_id}")
async def read_chat(chat_id: str, user=Depends(get_current_user)):
    return Chats.get(chat_id, user.id)


# ruleid: route-without-login-of-siblings
@router.get("/files/{file_id}/content")
async def read_file(file_id: str):
    return FileResponse(Files.get(file_id).path)


# ruleid: route-without-login-of-siblings
@router.delete("/memories/{id}", response_model=bool)
async def delete_memory(id: str):
    return Memories.delete(id)


@router.post("/memories")
async def add_memory(body: Memory, user: User = Depends(get_verified_user)):
    return Memories.add(body, user.id)
