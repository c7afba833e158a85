import json

import ldap
import ldap.filter
from langchain_openai import ChatOpenAI

llm = ChatOpenAI()
FILTERS = {"new": "year > 2024", "old": "year <= 2024"}


def find_orders(question, db, user):
    wanted = json.loads(llm.invoke(f"Product in: {question}").content)
    # ok: llm-output-to-search-filter
    return list(db.orders.find({"owner": user.id, "product": str(wanted["product"])}))


def find_person(question, directory):
    name = llm.invoke(f"Name in: {question}").content
    escaped = ldap.filter.escape_filter_chars(name)
    # ok: llm-output-to-search-filter
    return directory.search_s("dc=example", ldap.SCOPE_SUBTREE, f"(cn={escaped})")


def find_chunks(question, milvus, vector):
    choice = llm.invoke(f"new or old: {question}").content
    # ok: llm-output-to-search-filter
    return milvus.search(data=[vector], expr=FILTERS[choice], limit=5)


def position(question, text):
    answer = llm.invoke(question).content
    # ok: llm-output-to-search-filter
    return text.find(answer)
