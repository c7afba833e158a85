import gradio as gr

demo = gr.Interface(fn=answer, inputs="text", outputs="text")


def main() -> None:
    # ok: gradio-served-without-login
    demo.launch(server_name="0.0.0.0", auth=check_login)


def local() -> None:
    # ok: gradio-served-without-login
    demo.launch()
    # ok: gradio-served-without-login
    demo.launch(server_name="127.0.0.1", share=False)


def chosen(host: str, share: bool) -> None:
    # ok: gradio-served-without-login
    demo.launch(server_name=host, share=share)


def options(settings: dict) -> None:
    # ok: gradio-served-without-login
    demo.launch(share=True, **settings)
