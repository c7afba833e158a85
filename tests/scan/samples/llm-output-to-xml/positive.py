import xml.etree.ElementTree as ET
from xml.dom import minidom


def answer(llm, prompt):
    # ruleid: llm-output-to-xml
    return ET.fromstring(llm.invoke(prompt))


class Report(BaseOutputParser[dict]):
    def parse(self, text: str) -> dict:
        text = text.strip()
        # ruleid: llm-output-to-xml
        return minidom.parseString(text)
