import pty

from fastapi import APIRouter, Depends, WebSocket

router = APIRouter()


@router.websocket("/terminal")
async def terminal(websocket: WebSocket, who: str = Depends(current)):
    # ok: web-socket-opens-shell
    await websocket.accept()
    child, descriptor = pty.fork()


@router.websocket("/cookie")
async def cookie(websocket: WebSocket):
    if websocket.cookies.get("session") not in SESSIONS:
        return await websocket.close(code=1008)
    # ok: web-socket-opens-shell
    await websocket.accept()
    child, descriptor = pty.fork()


@router.websocket("/chat")
async def chat(websocket: WebSocket):
    # ok: web-socket-opens-shell
    await websocket.accept()
    await websocket.send_text("hello")
