import json
import smtplib
from email.message import EmailMessage

from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()
SENDER = "shop@example.com"


def send(task, server: smtplib.SMTP):
    draft = json.loads(llm.invoke(f"Mail as JSON for: {task}").content)
    # ruleid: llm-output-to-email
    server.sendmail(SENDER, draft["to"], draft["text"])


def message(task):
    reply = client.responses.create(model="m", input=f"Who should know about: {task}")
    mail = EmailMessage()
    # ruleid: llm-output-to-email
    mail["To"] = reply.output_text
    return mail


def notify(task, slack):
    channel = llm.invoke(f"Which channel for: {task}").content.strip()
    # ruleid: llm-output-to-email
    slack.chat_postMessage(channel=channel, text=task)
