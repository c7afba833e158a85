from fastapi import FastAPI, HTTPException
from openai import OpenAI

app = FastAPI()
ENDPOINTS = {"eu": "https://eu.example.com/v1", "us": "https://us.example.com/v1"}
CLIENTS = {"eu": OpenAI(base_url="https://eu.example.com/v1")}
ALLOWED_ENDPOINTS = set(ENDPOINTS.values())


@app.post("/chat")
def chat(text: str, provider: str):
    # ok: user-chooses-model-endpoint
    return CLIENTS[provider].responses.create(model="m", input=text).output_text


@app.post("/region")
def region(text: str, where: str):
    # ok: user-chooses-model-endpoint
    return OpenAI(base_url=ENDPOINTS[where]).responses.create(model="m", input=text)


@app.post("/checked")
def checked(text: str, base_url: str):
    if base_url not in ALLOWED_ENDPOINTS:
        raise HTTPException(400)
    # ok: user-chooses-model-endpoint
    return OpenAI(base_url=base_url).responses.create(model="m", input=text)


def make_client(base_url: str):
    # ok: user-chooses-model-endpoint
    return OpenAI(base_url=base_url)


@app.post("/told")
def told(text: str, api_base: str, response: Response):
    # ok: user-chooses-model-endpoint
    response.headers.update(Processing.get_custom_headers(model=text, api_base=api_base))
