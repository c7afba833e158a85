import re

from fastapi import FastAPI

app = FastAPI()


@app.get("/tools")
def tools(query: str):
    # ok: user-input-to-regex
    return [tool for tool in TOOLS if re.search(re.escape(query), tool.name)]


@app.get("/words")
def words(text: str):
    # ok: user-input-to-regex
    return re.findall(r"\w+", text)


def matches(expression: str, text: str):
    # ok: user-input-to-regex
    return re.search(expression, text)
