from agents import Agent as OpenAIAgent
from agents import LocalShellTool
from autogen import UserProxyAgent
from crewai import Agent
from crewai_tools import CodeInterpreterTool
from smolagents import CodeAgent

# ruleid: code-executor-without-sandbox
analyst = CodeAgent(tools=[], model=model, additional_authorized_imports=["pandas", "*"])
# ruleid: code-executor-without-sandbox
operator = CodeAgent(tools=[], model=model, additional_authorized_imports=["os"])
# ruleid: code-executor-without-sandbox
user = UserProxyAgent("user", code_execution_config={"work_dir": "run", "use_docker": False})
# ruleid: code-executor-without-sandbox
interpreter = CodeInterpreterTool(unsafe_mode=True)
# ruleid: code-executor-without-sandbox
coder = Agent(role="coder", goal="write programs", code_execution_mode="unsafe")
# ruleid: code-executor-without-sandbox
helper = OpenAIAgent(name="helper", tools=[LocalShellTool(executor=run_command)])
