import os

import gradio as gr


def load(language, name):
    # ruleid: user-input-to-path
    with open(os.path.join("settings", name)) as file:
        return file.read()


def remove(name):
    # ruleid: user-input-to-path
    os.remove("settings/" + name)


def answer(message, history):
    # ruleid: user-input-to-path
    return open(message).read()


with gr.Blocks() as page:
    language, name, button, other = gr.Dropdown(), gr.Dropdown(), gr.Button(), gr.Button()
    button.click(fn=load, inputs=[language, name], outputs=name)
    other.click(remove, [name])

gr.ChatInterface(answer).launch()
