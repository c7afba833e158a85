import gradio as gr
import streamlit as st

# ok: chat-shows-raw-html
chatbot = gr.Chatbot()
# ok: chat-shows-raw-html
note = gr.Markdown("# Chat", sanitize_html=True)
STYLE = "<style>h1 {color: green}</style>"
# ok: chat-shows-raw-html
st.markdown(STYLE, unsafe_allow_html=True)
# ok: chat-shows-raw-html
st.markdown("<hr>", unsafe_allow_html=True)

for message in st.session_state.messages:
    with st.chat_message(message["role"]):
        # ok: chat-shows-raw-html
        st.markdown(message["content"])
