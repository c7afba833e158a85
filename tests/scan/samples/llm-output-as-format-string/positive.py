from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()


def greet(user):
    greeting = llm.invoke("Write a greeting with {user} in it").content
    # ruleid: llm-output-as-format-string
    return greeting.format(user=user)


def mail(order):
    reply = client.responses.create(model="m", input="A mail with {order.number}")
    text = reply.output_text.strip()
    # ruleid: llm-output-as-format-string
    return text.format(order=order)


def mapped(values):
    text = llm.invoke("A sentence with placeholders").content
    # ruleid: llm-output-as-format-string
    return text.format_map(values)
