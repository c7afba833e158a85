import importlib.machinery
import importlib.util
import os
from importlib.util import spec_from_file_location


def load_tool(path: str):
    # ruleid: function-argument-to-module-file
    spec = importlib.util.spec_from_file_location("tool", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_model(folder, name):
    file = os.path.join(folder, name + ".py")
    # ruleid: function-argument-to-module-file
    return spec_from_file_location(name, file)


def load_plugin(entry):
    # ruleid: function-argument-to-module-file
    return importlib.machinery.SourceFileLoader("plugin", entry["file"]).load_module()
