from langchain.agents import create_agent, load_tools
from langchain_core.tools import tool


class PythonREPLResult:
    pass


@tool
def find_order(number: str) -> str:
    """Find an order."""
    return number


# ok: code-interpreter-tool
tools = load_tools(["wikipedia"], llm=llm)
# ok: code-interpreter-tool
agent = create_agent(model, tools=[find_order])
# ok: code-interpreter-tool
result = PythonREPLResult()
