from langchain.agents import load_tools
from langchain_community.tools import ShellTool
from langchain_experimental.tools import PythonREPLTool
from langchain_experimental.utilities import PythonREPL
import langchain_experimental.agents as agents

# ruleid: code-interpreter-tool
tools = [PythonREPLTool()]
# ruleid: code-interpreter-tool
tools.append(ShellTool())
# ruleid: code-interpreter-tool
repl = PythonREPL(_globals=globals(), _locals=None)
# ruleid: code-interpreter-tool
more = load_tools(["wikipedia", "terminal"], llm=llm)
