from langchain_openai import ChatOpenAI

llm = ChatOpenAI()
SUMMARY = "Summary: {text}"


def replaced(user):
    greeting = llm.invoke("Write a greeting with {user} in it").content
    # ok: llm-output-as-format-string
    return greeting.replace("{user}", user.name)


def filled_in(question):
    answer = llm.invoke(question).content
    # ok: llm-output-as-format-string
    return SUMMARY.format(text=answer)


def literal(question):
    answer = llm.invoke(question).content
    # ok: llm-output-as-format-string
    return "Answer: {}".format(answer)


def prompt(question, prompt_template):
    context = llm.invoke(question).content
    # ok: llm-output-as-format-string
    return llm.invoke(prompt_template.format(context=context))
