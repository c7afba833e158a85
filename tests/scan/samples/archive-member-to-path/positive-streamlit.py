import os

import streamlit as st

upload = st.file_uploader("A document")
if upload:
    # ruleid: archive-member-to-path
    with open(os.path.join("documents", upload.name), "wb") as file:
        file.write(upload.read())
