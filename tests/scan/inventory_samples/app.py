import os
import langchain_core.messages
from openai import OpenAI as Client, OpenAI
from transformers import AutoModel, pipeline
from datasets import load_dataset
from mcp.server.fastmcp import FastMCP
import json, requests
import mine

MODEL = "gpt-4o"
DEFAULT = os.getenv("EMBEDDING_MODEL", "acme/embedder")
client = OpenAI(base_url="https://me:secret@llm.example.org/v1?key=secret")
mcp = FastMCP("shop")
RAG_TEMPLATE = """Answer from the context only. {context}"""


@mcp.tool()
def find_order(number: str) -> str:
    return client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "system", "content": "You are the assistant of a shop."}],
    )


AutoModel.from_pretrained("acme/classifier", revision="0123abc")
pipeline("summarization", "acme/summarizer")
load_dataset("acme/tickets")
requests.post("https://api.anthropic.com/v1/messages")
vectors = Chroma(persist_directory="db")
name = "model"
create(model="user")
