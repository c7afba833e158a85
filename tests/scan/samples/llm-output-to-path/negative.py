import os
from pathlib import Path

REPORTS = Path("reports").resolve()
FILES = {"terms": "terms.txt"}


def inside(report, llm):
    name = llm.invoke("File name for this report?").content
    path = (REPORTS / name).resolve()
    if not path.is_relative_to(REPORTS):
        raise ValueError(name)
    # ok: llm-output-to-path
    path.write_text(report)


def base_name(report, llm):
    name = os.path.basename(llm.invoke("File name?").content)
    # ok: llm-output-to-path
    with open(os.path.join("reports", name), "w") as file:
        file.write(report)


def content_not_name(llm):
    text = llm.invoke("Write a report").content
    # ok: llm-output-to-path
    (REPORTS / "report.txt").write_text(text)
    # ok: llm-output-to-path
    with open("report.txt", "w") as file:
        file.write(text)


def table(llm):
    choice = llm.invoke("Which file?").content
    # ok: llm-output-to-path
    return open(FILES[choice]).read()
