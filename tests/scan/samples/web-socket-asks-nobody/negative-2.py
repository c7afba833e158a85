from fastapi import FastAPI, WebSocket

app = FastAPI()


@app.websocket("/agent")
async def agent(websocket: WebSocket):
    if not validate_auth(websocket):
        return await websocket.close(code=1008)
    # ok: web-socket-asks-nobody
    await websocket.accept()
