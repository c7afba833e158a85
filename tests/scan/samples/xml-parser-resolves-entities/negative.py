from lxml import etree as ET
from xml.etree import ElementTree

# ok: xml-parser-resolves-entities
PARSER = ET.XMLParser(encoding="utf-8", resolve_entities=False)
# ok: xml-parser-resolves-entities
OTHER = ElementTree.XMLParser(encoding="utf-8")


def transform(style, page):
    # ok: xml-parser-resolves-entities
    return ET.XSLT(style, access_control=ET.XSLTAccessControl.DENY_ALL)(page)


def notes(file):
    # ok: xml-parser-resolves-entities
    for _, element in ET.iterparse(file, resolve_entities=False, no_network=True):
        yield element
    # ok: xml-parser-resolves-entities
    for _, element in ElementTree.iterparse(file):
        yield element
