import json
import smtplib
from email.message import EmailMessage

from langchain_openai import ChatOpenAI

llm = ChatOpenAI()
SENDER = "shop@example.com"
ALLOWED_CHANNELS = {"#sales", "#support"}


def send(task, customer, server: smtplib.SMTP):
    draft = json.loads(llm.invoke(f"Mail as JSON for: {task}").content)
    # ok: llm-output-to-email
    server.sendmail(SENDER, customer.address, draft["text"])


def message(task, customer):
    mail = EmailMessage()
    mail.set_content(llm.invoke(task).content)
    # ok: llm-output-to-email
    mail["To"] = customer.address
    return mail


def notify(task, slack):
    channel = llm.invoke(f"Which channel for: {task}").content.strip()
    if channel not in ALLOWED_CHANNELS:
        raise ValueError(channel)
    # ok: llm-output-to-email
    slack.chat_postMessage(channel=channel, text=task)


def answer(task, slack):
    # ok: llm-output-to-email
    slack.chat_postMessage(channel="#support", text=llm.invoke(task).content)
