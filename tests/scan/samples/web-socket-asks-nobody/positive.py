from fastapi import FastAPI, WebSocket

app = FastAPI()


@app.websocket("/agent")
async def agent(websocket: WebSocket):
    # ruleid: web-socket-asks-nobody
    await websocket.accept()
    while True:
        await websocket.send_text(run(await websocket.receive_text()))


class BrowserServer:
    async def _handle(self, ws):
        if self.full:
            await ws.close(code=1013)
            return
        # ruleid: web-socket-asks-nobody
        await ws.accept()
        await self.serve(ws)
