"""An agent for the staff that works on exported tables."""

from langchain.agents import create_agent
from langchain_community.vectorstores import FAISS
from langchain_experimental.tools import PythonREPLTool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from settings import CHAT_MODEL, ROOT

model = ChatOpenAI(model=CHAT_MODEL)


def policies():
    """Open the index of the shop's policies."""
    return FAISS.load_local(
        str(ROOT / "policies"), OpenAIEmbeddings(), allow_dangerous_deserialization=True
    )


def analyst():
    """Make an agent that may calculate with Python."""
    return create_agent(model, tools=[PythonREPLTool()])


def answer(question: str) -> str:
    documents = policies().similarity_search(question, k=3)
    text = "\n".join(document.page_content for document in documents)
    result = analyst().invoke({"messages": [("user", f"{text}\n\n{question}")]})
    return result["messages"][-1].content
