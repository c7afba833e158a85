import json

import ldap
from langchain_openai import ChatOpenAI
from lxml import etree
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()


def find_orders(question, db):
    wanted = json.loads(llm.invoke(f"MongoDB filter for: {question}").content)
    # ruleid: llm-output-to-search-filter
    return list(db.orders.find(wanted))


def find_person(question, directory):
    name = llm.invoke(f"Name in: {question}").content
    # ruleid: llm-output-to-search-filter
    return directory.search_s("dc=example", ldap.SCOPE_SUBTREE, f"(cn={name})")


def find_node(question, tree: etree.ElementTree):
    reply = client.responses.create(model="m", input=f"XPath for: {question}")
    # ruleid: llm-output-to-search-filter
    return tree.xpath(reply.output_text)


def find_chunks(question, milvus, vector):
    condition = llm.invoke(f"Filter for: {question}").content
    # ruleid: llm-output-to-search-filter
    return milvus.search(data=[vector], expr=condition, limit=5)
