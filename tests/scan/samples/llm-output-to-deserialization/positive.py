import base64
import pickle

import jsonpickle
import yaml
from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()


def plan(task):
    answer = llm.invoke(f"Plan as YAML: {task}").content
    # ruleid: llm-output-to-deserialization
    return yaml.load(answer, Loader=yaml.Loader)


def plan_without_fence(task):
    answer = llm.invoke(f"Plan as YAML: {task}").content
    text = answer.strip().removeprefix("```yaml").removesuffix("```")
    # ruleid: llm-output-to-deserialization
    return yaml.unsafe_load(text)


def state(task):
    response = client.responses.create(model="m", input=task)
    # ruleid: llm-output-to-deserialization
    return pickle.loads(base64.b64decode(response.output_text))


def objects(task):
    response = client.chat.completions.create(model="m", messages=[{"role": "user", "content": task}])
    # ruleid: llm-output-to-deserialization
    return jsonpickle.decode(response.choices[0].message.content)
