import base64
import json


def page(results: list) -> str:
    data = json.dumps(results).replace("<", "\\u003c")
    # ok: json-in-script-block
    return f"<script>const results = {data};</script>"


def coded(results_json: str) -> str:
    data = base64.b64encode(results_json.encode()).decode()
    # ok: json-in-script-block
    return f"<script>const results = JSON.parse(atob('{data}'));</script>"


def numbered(count: int) -> str:
    # ok: json-in-script-block
    return f"<script>const count = {count};</script>"


def listed(results: list) -> str:
    # ok: json-in-script-block
    return f"<pre>{json.dumps(results)}</pre>"
