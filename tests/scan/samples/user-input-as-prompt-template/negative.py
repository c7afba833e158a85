from fastapi import FastAPI
from flask import Flask, request
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_openai import ChatOpenAI

app = FastAPI()
web = Flask(__name__)
llm = ChatOpenAI()
TEMPLATES = {"short": "Answer briefly: {question}"}
PROMPT = PromptTemplate.from_template("Answer briefly: {question}")


@web.route("/ask", methods=["POST"])
def ask():
    # ok: user-input-as-prompt-template
    return (PROMPT | llm).invoke({"question": request.json["question"]}).content


@app.post("/chosen")
async def chosen(style: str, question: str):
    # ok: user-input-as-prompt-template
    prompt = PromptTemplate.from_template(TEMPLATES[style])
    return llm.invoke(prompt.format(question=question))


@app.post("/chat")
async def chat(question: str):
    # ok: user-input-as-prompt-template
    prompt = ChatPromptTemplate.from_messages([("system", "You help."), ("human", "{question}")])
    return llm.invoke(prompt.format_messages(question=question))


@app.post("/escaped")
async def escaped(question: str):
    # ok: user-input-as-prompt-template
    return PromptTemplate.from_template(question.replace("{", "{{").replace("}", "}}"))
