from fastapi import FastAPI, Request

app = FastAPI()


@app.post("/component_server")
def component_server(body: Body):
    block = state[body.session].blocks[body.component_id]
    # ruleid: user-input-picks-method
    return getattr(block, body.fn_name)(body.data)


@app.post("/actors/{name}")
async def call(name: str, request: Request):
    data = await request.json()
    # ruleid: user-input-picks-method
    method = getattr(actor, data["method"], None)
    result = method(*data["args"])
    return {"result": result}


class Agents(MethodView):
    def post(self, agent, action):
        # ruleid: user-input-picks-method
        return getattr(agents[agent], action)()
