import numexpr
import pandas as pd
from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()


def rows(df: pd.DataFrame, question):
    condition = llm.invoke(f"Pandas query for: {question}").content
    # ruleid: llm-output-to-dataframe-query
    return df.query(condition)


def column(sales_df: pd.DataFrame, question):
    reply = client.responses.create(model="m", input=question)
    # ruleid: llm-output-to-dataframe-query
    return sales_df.eval(reply.output_text.strip())


def calculate(question):
    expression = llm.invoke(f"Only the formula: {question}").content
    # ruleid: llm-output-to-dataframe-query
    return numexpr.evaluate(expression)
