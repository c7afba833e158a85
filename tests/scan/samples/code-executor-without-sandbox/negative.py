from autogen import UserProxyAgent
from crewai import Agent
from crewai_tools import CodeInterpreterTool
from smolagents import CodeAgent

# ok: code-executor-without-sandbox
analyst = CodeAgent(tools=[], model=model, executor_type="docker")
# ok: code-executor-without-sandbox
planner = CodeAgent(tools=[], model=model, additional_authorized_imports=["pandas", "math"])
# ok: code-executor-without-sandbox
user = UserProxyAgent("user", code_execution_config={"work_dir": "run", "use_docker": True})
# ok: code-executor-without-sandbox
reader = UserProxyAgent("reader", code_execution_config=False)
# ok: code-executor-without-sandbox
interpreter = CodeInterpreterTool()
# ok: code-executor-without-sandbox
coder = Agent(role="coder", goal="write programs", code_execution_mode="safe")
