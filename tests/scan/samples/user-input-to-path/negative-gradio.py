import os

import gradio as gr


def load(name):
    # ok: user-input-to-path
    with open(os.path.join("settings", os.path.basename(name))) as file:
        return file.read()


def start(path):
    # ok: user-input-to-path
    return open(path).read()


with gr.Blocks() as page:
    name, button = gr.Dropdown(), gr.Button()
    button.click(load, [name])
    gr.Markdown(start("welcome.md"))
