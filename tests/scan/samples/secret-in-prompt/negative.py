import os

from langchain_core.messages import HumanMessage
from openai import OpenAI

API_KEY = os.environ["OPENAI_API_KEY"]
client = OpenAI(api_key=API_KEY)
SHOP_NAME = os.environ["SHOP_NAME"]
MAX_TOKENS = int(os.getenv("MAX_TOKENS", "100"))


def ordinary(question):
    # ok: secret-in-prompt
    return [{"role": "system", "content": f"You work for {SHOP_NAME}."}, {"role": "user", "content": question}]


def answer_goes_back(question):
    assistant = OpenAI(api_key=os.environ["OPENAI_API_KEY"])
    reply = assistant.responses.create(model="m", input=question)
    # ok: secret-in-prompt
    return {"role": "assistant", "content": reply.output_text}


def length():
    # ok: secret-in-prompt
    return HumanMessage(content=f"Use at most {MAX_TOKENS} words")


def connection(password):
    database = connect(password=password)
    # ok: secret-in-prompt
    return {"role": "user", "content": f"Tables: {database.tables()}"}
