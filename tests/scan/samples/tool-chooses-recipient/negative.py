import smtplib
from email.message import EmailMessage

from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP
from slack_sdk import WebClient

mcp = FastMCP("office")
SENDER = "agent@example.com"
ALLOWED_RECIPIENTS = {"finance@example.com"}
smtp = smtplib.SMTP("localhost")
slack = WebClient()


@tool
def send_report(to: str, text: str) -> None:
    """Send a report."""
    if to not in ALLOWED_RECIPIENTS:
        raise ValueError(to)
    # ok: tool-chooses-recipient
    smtp.sendmail(SENDER, to, text)


@mcp.tool()
def tell_me(subject: str, body: str) -> None:
    """Send the user an e-mail."""
    message = EmailMessage()
    # ok: tool-chooses-recipient
    message["To"] = "owner@example.com"
    message["Subject"] = subject
    message.set_content(body)
    smtp.send_message(message)


@mcp.tool()
def post(text: str) -> None:
    """Post a message to the team."""
    # ok: tool-chooses-recipient
    slack.chat_postMessage(channel="#agents", text=text)


@mcp.tool()
def mail_colleague(address: str, text: str) -> None:
    """Send a mail inside the company."""
    if not address.endswith("@example.com"):
        raise ValueError(address)
    # ok: tool-chooses-recipient
    smtp.sendmail(SENDER, address, text)


@mcp.tool()
def mail_anyone(address: str, text: str) -> None:
    """Send a mail after the user has agreed."""
    if not confirm_with_user(f"Send to {address}?\n{text}"):
        return
    # ok: tool-chooses-recipient
    smtp.sendmail(SENDER, address, text)


def send(to: str, text: str) -> None:
    # ok: tool-chooses-recipient
    smtp.sendmail(SENDER, to, text)
