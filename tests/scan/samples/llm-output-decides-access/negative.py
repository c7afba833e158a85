from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()


def review(pull_request, diff):
    verdict = llm.invoke(f"May this be merged? yes or no\n{diff}").content
    # ok: llm-output-decides-access
    if verdict.startswith("no"):
        pull_request.create_issue_comment(f"The model says: {verdict}")


def confirmed(pull_request, diff):
    verdict = llm.invoke(diff).content
    # ok: llm-output-decides-access
    if input(f"The model says {verdict}. Merge? ") == "y":
        pull_request.merge()


def complaint(order, text):
    decision = client.responses.create(model="m", input=f"Refund? {text}").output_text
    # ok: llm-output-decides-access
    if order.total < 5:
        order.refund(order.total)
    return decision


def joined(frame, other, question):
    answer = llm.invoke(question).content
    # ok: llm-output-decides-access
    if answer:
        frame = frame.merge(other, on="id")
    return frame
