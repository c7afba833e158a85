from langchain_community.vectorstores import FAISS


def load(allow_dangerous_deserialization: bool = False):
    # ok: dangerous-opt-in
    store = FAISS.load_local("index", embeddings)
    # ok: dangerous-opt-in
    other = FAISS.load_local("index", embeddings, allow_dangerous_deserialization=False)
    # ok: dangerous-opt-in
    third = FAISS.load_local("index", embeddings, allow_dangerous_deserialization=allow_dangerous_deserialization)
    return store, other, third


def options(allow: bool = False):
    # ok: dangerous-opt-in
    return {"verbose": True, "allow_dangerous_code": allow}
