import json


def page(results: list) -> str:
    data = json.dumps(results)
    # ruleid: json-in-script-block
    return f"""
    <html>
      <div id="results"></div>
      <script>
        var results = {data};
        draw(results);
      </script>
    </html>"""


def _show(results_json: str) -> str:
    # ruleid: json-in-script-block
    return f"<script>const results = {results_json};</script>"
