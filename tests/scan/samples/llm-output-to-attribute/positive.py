import importlib
import json

from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()


def call_tools(messages):
    reply = client.chat.completions.create(model="m", messages=messages)
    for call in reply.choices[0].message.tool_calls:
        arguments = json.loads(call.function.arguments)
        # ruleid: llm-output-to-attribute
        yield globals()[call.function.name](**arguments)


class Assistant:
    def dispatch(self, call):
        # ruleid: llm-output-to-attribute
        return getattr(self, call.function.name)(**json.loads(call.function.arguments))

    def update(self, question):
        changes = json.loads(llm.invoke(question).content)
        for name, value in changes.items():
            # ruleid: llm-output-to-attribute
            setattr(self, name, value)


def load_helper(question):
    name = llm.invoke(f"Which module solves: {question}").content.strip()
    # ruleid: llm-output-to-attribute
    return importlib.import_module(name)
