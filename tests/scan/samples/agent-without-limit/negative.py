from agents import Runner
from crewai import Agent
from langchain.agents import AgentExecutor
from pydantic_ai.usage import UsageLimits
from smolagents import CodeAgent

# ok: agent-without-limit
executor = AgentExecutor(agent=agent, tools=tools)
# ok: agent-without-limit
timed = AgentExecutor(agent=agent, tools=tools, max_iterations=None, max_execution_time=60)


def run(graph, question):
    # ok: agent-without-limit
    return graph.invoke({"messages": [question]}, {"recursion_limit": 100})


async def ask(agent, question, turns):
    # ok: agent-without-limit
    return await Runner.run(agent, question, max_turns=turns)


# ok: agent-without-limit
researcher = Agent(role="researcher", goal="find out", max_iter=20)
# ok: agent-without-limit
coder = CodeAgent(tools=[], model=model, max_steps=12)
# ok: agent-without-limit
LIMITS = UsageLimits(request_limit=50)
