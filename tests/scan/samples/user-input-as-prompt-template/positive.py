from fastapi import FastAPI
from flask import Flask, request
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_openai import ChatOpenAI

app = FastAPI()
web = Flask(__name__)
llm = ChatOpenAI()


@web.route("/ask", methods=["POST"])
def ask():
    # ruleid: user-input-as-prompt-template
    prompt = PromptTemplate.from_template(f"Answer briefly: {request.json['question']}")
    return (prompt | llm).invoke({}).content


@app.post("/custom")
async def custom(template: str, values: dict):
    # ruleid: user-input-as-prompt-template
    prompt = PromptTemplate(template=template, input_variables=list(values), template_format="jinja2")
    return llm.invoke(prompt.format(**values))


@app.post("/chat")
async def chat(question: str, context: dict):
    # ruleid: user-input-as-prompt-template
    prompt = ChatPromptTemplate.from_messages([("system", "You help."), ("human", question)])
    return llm.invoke(prompt.format_messages(**context))
