import pandas as pd
from langchain_openai import ChatOpenAI

llm = ChatOpenAI()
ALLOWED_QUERIES = {"price > 10", "price <= 10"}


def rows(df: pd.DataFrame, question):
    column = llm.invoke(f"One of {list(df.columns)} for: {question}").content
    # ok: llm-output-to-dataframe-query
    return df[df[column].notna()]


def chosen(df: pd.DataFrame, question):
    condition = llm.invoke(question).content
    if condition not in ALLOWED_QUERIES:
        raise ValueError(condition)
    # ok: llm-output-to-dataframe-query
    return df.query(condition)


def fixed(df: pd.DataFrame, question):
    limit = float(llm.invoke(f"Only the limit in: {question}").content)
    # ok: llm-output-to-dataframe-query
    return df.query("price > @limit", local_dict={"limit": limit})


def trained(model, question):
    llm.invoke(question)
    # ok: llm-output-to-dataframe-query
    return model.eval()
