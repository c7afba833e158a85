import pty

from fastapi import APIRouter, WebSocket

router = APIRouter()


@router.websocket("/terminal")
async def terminal(websocket: WebSocket):
    if not validate_auth(websocket):
        return await websocket.close(code=1008)
    # ok: web-socket-opens-shell
    await websocket.accept()
    child, descriptor = pty.fork()
