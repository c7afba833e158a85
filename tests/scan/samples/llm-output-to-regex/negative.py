import re

from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()
FENCE = re.compile(r"```(\w+)?")


def search(question, pages):
    word = llm.invoke(f"Key word of: {question}").content
    # ok: llm-output-to-regex
    return [page for page in pages if re.search(re.escape(word), page)]


def read(question):
    answer = llm.invoke(question).content
    # ok: llm-output-to-regex
    return re.findall(r"\d+", answer)


def unfenced(question):
    answer = client.responses.create(model="m", input=question).output_text
    # ok: llm-output-to-regex
    return FENCE.sub("", answer)


def masked(question):
    answer = llm.invoke(question).content
    # ok: llm-output-to-regex
    return re.sub(r"[0-9]", "#", answer)
