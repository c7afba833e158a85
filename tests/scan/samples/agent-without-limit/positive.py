from agents import Runner
from crewai import Agent
from langchain.agents import AgentExecutor
from pydantic_ai.usage import UsageLimits
from smolagents import CodeAgent

# ruleid: agent-without-limit
executor = AgentExecutor(agent=agent, tools=tools, max_iterations=None)


def run(graph, question):
    # ruleid: agent-without-limit
    return graph.invoke({"messages": [question]}, {"recursion_limit": 100000})


async def ask(agent, question):
    # ruleid: agent-without-limit
    return await Runner.run(agent, question, max_turns=10000)


# ruleid: agent-without-limit
researcher = Agent(role="researcher", goal="find out", max_iter=5000)
# ruleid: agent-without-limit
coder = CodeAgent(tools=[], model=model, max_steps=100_000)
# ruleid: agent-without-limit
LIMITS = UsageLimits(request_limit=None)
