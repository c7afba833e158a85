"""An agent for the staff that works on exported tables."""

from langchain.agents import create_agent
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from settings import CHAT_MODEL, ROOT

model = ChatOpenAI(model=CHAT_MODEL)


def policies():
    """Build the index of the shop's policies from their texts."""
    files = sorted((ROOT / "policies").glob("*.md"))
    documents = [Document(page_content=file.read_text(encoding="utf-8")) for file in files]
    return FAISS.from_documents(documents, OpenAIEmbeddings())


@tool
def average(numbers: list[float]) -> float:
    """Return the average of numbers."""
    return sum(numbers) / len(numbers)


def analyst():
    """Make an agent that may calculate averages."""
    return create_agent(model, tools=[average])


def answer(question: str) -> str:
    documents = policies().similarity_search(question, k=3)
    text = "\n".join(document.page_content for document in documents)
    result = analyst().invoke({"messages": [("user", f"{text}\n\n{question}")]})
    return result["messages"][-1].content
