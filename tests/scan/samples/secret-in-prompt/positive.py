import os

from langchain_core.messages import HumanMessage
from openai import OpenAI

client = OpenAI()
DB_PASSWORD = os.environ["DB_PASSWORD"]


def from_environment():
    # ruleid: secret-in-prompt
    return [{"role": "system", "content": f"Log in with {os.environ['ADMIN_PASSWORD']}."}]


def by_name():
    prompt = "The database password is " + DB_PASSWORD
    # ruleid: secret-in-prompt
    return client.responses.create(model="m", instructions=prompt, input="List all orders")


def by_method():
    token = os.getenv("GITHUB_TOKEN")
    # ruleid: secret-in-prompt
    return HumanMessage(content="Clone with the token {}".format(token))


def settings(config):
    # ruleid: secret-in-prompt
    return {"role": "user", "content": f"Use the key {config.api_key} for the call"}
