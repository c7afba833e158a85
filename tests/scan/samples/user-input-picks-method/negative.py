from fastapi import FastAPI

app = FastAPI()
ALLOWED = {"run", "stop"}


@app.post("/table")
def by_table(body: Body):
    # ok: user-input-picks-method
    return FOR_CLIENTS[body.name](body.data)


@app.post("/allowed")
def allowed(body: Body):
    if body.name not in ALLOWED:
        raise ValueError(body.name)
    # ok: user-input-picks-method
    return getattr(worker, body.name)(body.data)


@app.post("/field")
def field(body: Body):
    # ok: user-input-picks-method
    return {"value": getattr(settings, body.name)}


@app.post("/marked")
def marked(body: Body):
    # ok: user-input-picks-method
    function = getattr(block, body.name, None)
    if function is None or not getattr(function, "is_for_clients", False):
        raise ValueError(body.name)
    return function(body.data)


def fixed():
    # ok: user-input-picks-method
    return getattr(worker, "run")()
