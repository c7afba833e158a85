import gradio as gr
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

app = FastAPI()
demo = gr.Interface(fn=answer, inputs="text", outputs="file")


def main() -> None:
    # ok: app-serves-every-file
    demo.launch(allowed_paths=["/srv/demo/public"])


def other(folder: str) -> None:
    # ok: app-serves-every-file
    demo.launch(allowed_paths=[folder])


# ok: app-serves-every-file
gr.set_static_paths(paths=["assets"])
# ok: app-serves-every-file
app.mount("/static", StaticFiles(directory="static", html=True), name="static")
# ok: app-serves-every-file
demo.launch(blocked_paths=["/"])
