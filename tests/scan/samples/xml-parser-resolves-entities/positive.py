from lxml import etree as ET

# ruleid: xml-parser-resolves-entities
PARSER = ET.XMLParser(encoding="utf-8")
# ruleid: xml-parser-resolves-entities
OTHER = ET.XMLParser(resolve_entities=True, no_network=True)


def transform(style, page):
    # ruleid: xml-parser-resolves-entities
    return ET.XSLT(ET.parse(style))(page)


def notes(file):
    # ruleid: xml-parser-resolves-entities
    for _, element in ET.iterparse(file, recover=True, huge_tree=True):
        yield element
