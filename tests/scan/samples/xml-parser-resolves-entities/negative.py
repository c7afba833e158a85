from lxml import etree as ET
from xml.etree import ElementTree

# ok: xml-parser-resolves-entities
PARSER = ET.XMLParser(encoding="utf-8", resolve_entities=False)
# ok: xml-parser-resolves-entities
OTHER = ElementTree.XMLParser(encoding="utf-8")


def transform(style, page):
    # ok: xml-parser-resolves-entities
    return ET.XSLT(style, access_control=ET.XSLTAccessControl.DENY_ALL)(page)
