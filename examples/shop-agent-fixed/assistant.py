"""The conversation: prompts, the model, and what its answers are used for."""

import json
import re
import subprocess
from contextlib import closing
from urllib.parse import urlsplit

import requests
from openai import OpenAI

import store
import tools
from settings import CHAT_MODEL, OPENAI_API_KEY, REPORTS

client = OpenAI(api_key=OPENAI_API_KEY or "not-set")

TOOLS = {
    "order_status": tools.order_status,
    "search_products": tools.search_products,
    "read_manual": tools.read_manual,
    "search_manuals": tools.search_manuals,
    "stock": tools.stock,
}
TOOL_SCHEMAS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": function.__doc__,
            "parameters": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }
    for name, function in TOOLS.items()
]
QUERIES = {
    "cheapest products": "SELECT * FROM products ORDER BY price LIMIT 10",
    "open orders": "SELECT * FROM orders WHERE status = 'open'",
    "out of stock": "SELECT * FROM products WHERE stock = 0",
}
CONVERSIONS = {
    "html": ["pandoc", "--sandbox", "report.md", "-o", "report.html"],
    "pdf": ["pandoc", "--sandbox", "report.md", "-o", "report.pdf"],
}
ALLOWED_HOSTS = frozenset({"www.example.com", "support.example.com"})


def system_message() -> dict:
    text = "You are the assistant of a small shop. Help customers with orders and products."
    return {"role": "system", "content": text}


def ask(prompt: str) -> str:
    """Ask the model one question, without tools."""
    response = client.responses.create(model=CHAT_MODEL, input=prompt)
    return response.output_text


def chat(history: list[dict], question: str, rounds: int = 4) -> str:
    """Answer a customer, calling tools as the model wishes."""
    messages = [system_message(), *history, {"role": "user", "content": question}]
    for _ in range(rounds):
        response = client.chat.completions.create(
            model=CHAT_MODEL, messages=messages, tools=TOOL_SCHEMAS
        )
        message = response.choices[0].message
        if not message.tool_calls:
            return message.content or ""
        messages.append(message.model_dump())
        for call in message.tool_calls:
            arguments = json.loads(call.function.arguments)
            if call.function.name in TOOLS:
                result = TOOLS[call.function.name](**arguments)
            else:
                result = "no such tool"
            messages.append(
                {"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)}
            )
    return "I could not find an answer."


def price_with_discount(price: float, sentence: str) -> float:
    """Return the price after a discount that a customer described in words."""
    response = client.chat.completions.create(
        model=CHAT_MODEL,
        messages=[
            {"role": "system", "content": "Answer with the discount in percent, digits only."},
            {"role": "user", "content": sentence},
        ],
    )
    percent = float(response.choices[0].message.content)
    if not 0 <= percent <= 20:
        raise ValueError(f"a discount of {percent} percent is not on offer")
    return round(price * (1 - percent / 100), 2)


def answer_from_database(question: str) -> list[dict]:
    """Answer a question of the staff with the query that fits best."""
    response = client.responses.create(
        model=CHAT_MODEL,
        instructions="Answer with one of: " + ", ".join(QUERIES),
        input=question,
    )
    query = QUERIES[response.output_text.strip()]
    with closing(store.connect()) as connection:
        return [dict(row) for row in connection.execute(query).fetchall()]


def save_report(question: str) -> str:
    """Let the model write a report and choose its file name."""
    response = client.responses.create(
        model=CHAT_MODEL,
        instructions="First line: a file name. Then the report.",
        input=question,
    )
    name, _, text = response.output_text.partition("\n")
    path = (REPORTS / re.sub(r"[^a-z0-9-]", "", name.lower())).with_suffix(".md").resolve()
    if not path.is_relative_to(REPORTS):
        raise ValueError(f"{name!r} leaves the folder of reports")
    path.write_text(text, encoding="utf-8")
    return str(path)


def convert_report(request: str) -> int:
    """Convert the report to the format that the model understood."""
    response = client.responses.create(
        model=CHAT_MODEL, instructions="Answer with html or pdf.", input=request
    )
    command = CONVERSIONS[response.output_text.strip()]
    return subprocess.run(command, cwd=REPORTS, check=False).returncode


def product_page(question: str) -> str:
    """Fetch the manufacturer's page that the model thinks of."""
    response = client.responses.create(
        model=CHAT_MODEL, instructions="Answer with one URL.", input=question
    )
    url = response.output_text.strip()
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname not in ALLOWED_HOSTS:
        raise ValueError(f"{parts.hostname!r} is not a manufacturer we know")
    return requests.get(url, timeout=10, allow_redirects=False).text
