import gradio as gr

demo = gr.Interface(fn=answer, inputs="text", outputs="text")


def main() -> None:
    # ruleid: gradio-served-without-login
    demo.launch(server_name="0.0.0.0", server_port=7860)


def show() -> None:
    # ruleid: gradio-served-without-login
    demo.queue().launch(share=True)


def both(port: int) -> None:
    with gr.Blocks() as page:
        gr.Chatbot()
    # ruleid: gradio-served-without-login
    page.launch(server_name="0.0.0.0", server_port=port, share=True, debug=False)
