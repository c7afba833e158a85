import smtplib
from email.message import EmailMessage

import boto3
from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP
from slack_sdk import WebClient

mcp = FastMCP("office")
SENDER = "agent@example.com"
ses = boto3.client("ses")
slack = WebClient()


@tool
def send_report(to: str, text: str) -> None:
    """Send a report."""
    with smtplib.SMTP("localhost") as smtp:
        # ruleid: tool-chooses-recipient
        smtp.sendmail(SENDER, to, text)


@mcp.tool()
def send_email(recipient: str, subject: str, body: str) -> str:
    """Send an e-mail."""
    message = EmailMessage()
    # ruleid: tool-chooses-recipient
    message["To"] = recipient
    message["Subject"] = subject
    message.set_content(body)
    smtplib.SMTP("localhost").send_message(message)
    return "sent"


@mcp.tool()
def notify(address: str, text: str) -> None:
    """Notify somebody."""
    ses.send_email(
        Source=SENDER,
        # ruleid: tool-chooses-recipient
        Destination={"ToAddresses": [address]},
        Message={"Body": {"Text": {"Data": text}}},
    )


@mcp.tool()
def post(channel: str, text: str) -> None:
    """Post a message."""
    # ruleid: tool-chooses-recipient
    slack.chat_postMessage(channel=channel, text=text)
