import gradio as gr
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

app = FastAPI()
demo = gr.Interface(fn=answer, inputs="text", outputs="file")


def main() -> None:
    # ruleid: app-serves-every-file
    demo.launch(allowed_paths=["/"])


def other() -> None:
    # ruleid: app-serves-every-file
    demo.launch(server_port=8080, allowed_paths=["outputs", "."])


# ruleid: app-serves-every-file
gr.set_static_paths(paths=["/tmp"])
# ruleid: app-serves-every-file
app.mount("/files", StaticFiles(directory="."), name="files")
