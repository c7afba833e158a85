import os
import shutil
from pathlib import Path

REPORTS = Path("reports")


def write(report, llm):
    name = llm.invoke("File name for this report?").content
    # ruleid: llm-output-to-path
    with open(f"reports/{name}", "w") as file:
        file.write(report)


def read(client):
    response = client.responses.create(model="m", input="Which file?")
    path = REPORTS / response.output_text.strip()
    # ruleid: llm-output-to-path
    return path.read_text()


def remove(client):
    reply = client.messages.create(model="m", max_tokens=9, messages=[])
    target = os.path.join("reports", reply.content[0].text)
    if os.path.exists(target):
        # ruleid: llm-output-to-path
        os.remove(target)
    # ruleid: llm-output-to-path
    shutil.rmtree(target)


def edit(message):
    for call in message.tool_calls:
        # ruleid: llm-output-to-path
        Path(call.args["path"]).write_text(call.args["text"])
