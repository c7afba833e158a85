import asyncio
import pty

from fastapi import APIRouter, WebSocket

router = APIRouter()


@router.websocket("/terminal")
async def terminal(websocket: WebSocket):
    # ruleid: web-socket-opens-shell
    await websocket.accept()
    try:
        child, descriptor = pty.fork()
    except OSError:
        await websocket.close(code=1011)
        return
    await copy(descriptor, websocket)


@router.websocket("/run")
async def run(websocket: WebSocket):
    # ruleid: web-socket-opens-shell
    await websocket.accept()
    while True:
        command = await websocket.receive_text()
        process = await asyncio.create_subprocess_shell(command)
        await process.wait()
