import xml.etree.ElementTree as ET

import defusedxml.ElementTree as DET


def answer(llm, prompt):
    # ok: llm-output-to-xml
    return DET.fromstring(llm.invoke(prompt))


def settings(path):
    # ok: llm-output-to-xml
    return ET.fromstring(path.read_text())
