from langchain_community.agent_toolkits import FileManagementToolkit
from langchain_community.tools import DeleteFileTool, ReadFileTool
from langchain_community.tools.file_management import WriteFileTool

# ruleid: file-tools-without-root
tools = FileManagementToolkit().get_tools()
# ruleid: file-tools-without-root
wide = FileManagementToolkit(root_dir="/", selected_tools=["read_file"])
# ruleid: file-tools-without-root
read = ReadFileTool()
# ruleid: file-tools-without-root
write = WriteFileTool(verbose=True)
# ruleid: file-tools-without-root
delete = DeleteFileTool()
