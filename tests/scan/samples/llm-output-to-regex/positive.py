import re

from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()


def search(question, pages):
    word = llm.invoke(f"Key word of: {question}").content
    # ruleid: llm-output-to-regex
    return [page for page in pages if re.search(word, page)]


def compiled(question):
    reply = client.responses.create(model="m", input=f"A regular expression for: {question}")
    # ruleid: llm-output-to-regex
    return re.compile(reply.output_text, re.IGNORECASE)


def mask(question, text):
    names = llm.invoke(f"Names in: {text}").content.split(",")
    for name in names:
        # ruleid: llm-output-to-regex
        text = re.sub(rf"\b{name}\b", "***", text)
    return text
