import gradio as gr
import streamlit as st

# ruleid: chat-shows-raw-html
chatbot = gr.Chatbot(sanitize_html=False)
# ruleid: chat-shows-raw-html
note = gr.Markdown("# Chat", sanitize_html=False)

for message in st.session_state.messages:
    with st.chat_message(message["role"]):
        # ruleid: chat-shows-raw-html
        st.markdown(message["content"], unsafe_allow_html=True)


def show(place, full_response):
    # ruleid: chat-shows-raw-html
    place.markdown(full_response, unsafe_allow_html=True)
