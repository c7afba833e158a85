from fastapi import Depends, FastAPI, WebSocket

app = FastAPI()


@app.websocket("/origin")
async def origin(websocket: WebSocket):
    if websocket.headers.get("host") not in HOSTS:
        await websocket.close(code=1008)
        return
    # ok: web-socket-asks-nobody
    await websocket.accept()


@app.websocket("/user")
async def user(websocket: WebSocket, who: str = Depends(current)):
    # ok: web-socket-asks-nobody
    await websocket.accept()


@app.websocket("/listed", dependencies=[Depends(current)])
async def listed(websocket: WebSocket):
    # ok: web-socket-asks-nobody
    await websocket.accept()


@app.websocket("/cookie")
async def cookie(websocket: WebSocket):
    who = SESSIONS.get(websocket.cookies.get("session"))
    if who is None:
        return await websocket.close(code=1008)
    # ok: web-socket-asks-nobody
    await websocket.accept()


def listen(server_socket):
    # ok: web-socket-asks-nobody
    return server_socket.accept()
