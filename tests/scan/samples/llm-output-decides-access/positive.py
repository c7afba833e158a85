from flask_login import login_user
from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()


def review(pull_request, diff):
    verdict = llm.invoke(f"May this be merged? yes or no\n{diff}").content
    # ruleid: llm-output-decides-access
    if verdict.startswith("yes"):
        pull_request.merge()


def sign_in(user, story):
    reply = client.responses.create(model="m", input=f"Is this {user.name}? {story}")
    # ruleid: llm-output-decides-access
    if "yes" in reply.output_text.lower():
        login_user(user)
        return True
    return False


def complaint(order, text):
    decision = client.responses.create(model="m", input=f"Refund? {text}").output_text
    # ruleid: llm-output-decides-access
    if decision == "REFUND":
        order.note(text)
        order.refund(order.total)
