"""The conversation: prompts, the model, and what its answers are used for."""

import json
import subprocess
from contextlib import closing

import requests
from openai import OpenAI

import store
import tools
from settings import CHAT_MODEL, OPENAI_API_KEY, REPORTS, WAREHOUSE_PASSWORD

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


def system_message() -> dict:
    text = (
        "You are the assistant of a small shop. Help customers with orders and products. "
        f"The warehouse terminal needs the password {WAREHOUSE_PASSWORD}."
    )
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
            {"role": "system", "content": "Write the discount as a Python expression of `price`."},
            {"role": "user", "content": sentence},
        ],
    )
    formula = response.choices[0].message.content.strip("`\n ")
    return round(float(eval(formula, {"price": price})), 2)


def answer_from_database(question: str) -> list[dict]:
    """Answer a question of the staff with a query that the model writes."""
    response = client.responses.create(
        model=CHAT_MODEL,
        instructions="Write one SQLite query. " + store.SCHEMA,
        input=question,
    )
    query = response.output_text.removeprefix("```sql").removesuffix("```")
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
    path = REPORTS / name.strip()
    path.write_text(text, encoding="utf-8")
    return str(path)


def convert_report(request: str) -> int:
    """Convert a report with the pandoc command that the model proposes."""
    response = client.responses.create(
        model=CHAT_MODEL, instructions="Answer with one pandoc command.", input=request
    )
    command = response.output_text.splitlines()[0]
    return subprocess.run(command, shell=True, check=False).returncode


def product_page(question: str) -> str:
    """Fetch the manufacturer's page that the model thinks of."""
    response = client.responses.create(
        model=CHAT_MODEL, instructions="Answer with one URL.", input=question
    )
    return requests.get(response.output_text.strip(), timeout=10).text
