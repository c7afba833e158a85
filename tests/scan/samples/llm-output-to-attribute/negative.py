import importlib
import json

from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()
TOOLS = {"weather": print, "time": print}
ALLOWED_MODULES = {"shop.prices", "shop.stock"}


def call_tools(messages):
    reply = client.chat.completions.create(model="m", messages=messages)
    for call in reply.choices[0].message.tool_calls:
        # ok: llm-output-to-attribute
        yield TOOLS[call.function.name](**json.loads(call.function.arguments))


def load_helper(question):
    name = llm.invoke(f"Which module solves: {question}").content.strip()
    if name not in ALLOWED_MODULES:
        raise ValueError(name)
    # ok: llm-output-to-attribute
    return importlib.import_module(name)


class Assistant:
    def dispatch(self, call):
        if call.function.name not in TOOLS:
            raise KeyError(call.function.name)
        # ok: llm-output-to-attribute
        return getattr(self, "tool")(call.function.arguments)

    def read(self, question):
        answer = llm.invoke(question)
        # ok: llm-output-to-attribute
        return getattr(answer, "content", "")

    def remember(self, question):
        answer = llm.invoke(question)
        # ok: llm-output-to-attribute
        setattr(self, "last", answer)
