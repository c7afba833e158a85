from agents import HostedMCPTool
from autogen import UserProxyAgent
from claude_agent_sdk import ClaudeAgentOptions
from interpreter import interpreter
from openai import OpenAI

URL = "https://shop.example.com/mcp"
client = OpenAI()
# ruleid: agent-runs-without-approval
user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config={"work_dir": "run"})
tool = HostedMCPTool(
    # ruleid: agent-runs-without-approval
    tool_config={"type": "mcp", "server_label": "shop", "server_url": URL, "require_approval": "never"}
)
# ruleid: agent-runs-without-approval
interpreter.auto_run = True
# ruleid: agent-runs-without-approval
options = ClaudeAgentOptions(permission_mode="bypassPermissions")
answer = client.responses.create(
    model=MODEL,
    input=question,
    # ruleid: agent-runs-without-approval
    tools=[{"type": "mcp", "server_url": URL, "require_approval": "never"}],
)
