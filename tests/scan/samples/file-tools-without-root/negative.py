from langchain_community.agent_toolkits import FileManagementToolkit
from langchain_community.tools import ReadFileTool
from langchain_community.tools.file_management import WriteFileTool
from mytools import ListDirectoryTool

# ok: file-tools-without-root
tools = FileManagementToolkit(root_dir=str(WORKSPACE)).get_tools()
# ok: file-tools-without-root
read = ReadFileTool(root_dir="/srv/agent/work")
# ok: file-tools-without-root
write = WriteFileTool(**settings)
# ok: file-tools-without-root
listing = ListDirectoryTool()
