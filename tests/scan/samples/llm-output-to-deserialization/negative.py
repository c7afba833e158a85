import json
import pickle

import yaml
from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()


def plan(task):
    answer = llm.invoke(f"Plan as YAML: {task}").content
    # ok: llm-output-to-deserialization
    return yaml.safe_load(answer)


def plan_with_loader(task):
    answer = llm.invoke(f"Plan as YAML: {task}").content
    # ok: llm-output-to-deserialization
    return yaml.load(answer, Loader=yaml.SafeLoader)


def arguments(task):
    response = client.chat.completions.create(model="m", messages=[{"role": "user", "content": task}])
    # ok: llm-output-to-deserialization
    return json.loads(response.choices[0].message.tool_calls[0].function.arguments)


def cached(question, store):
    key = llm.invoke(question).content
    # ok: llm-output-to-deserialization
    return json.loads(key), pickle.dumps(key)
