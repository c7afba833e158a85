import os
import signal

import boto3
from kubernetes import client
from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("operations")
ec2 = boto3.client("ec2")
s3 = boto3.client("s3")
core = client.CoreV1Api()


@tool
def stop_server(instance: str) -> str:
    """Stop a server."""
    # ruleid: tool-deletes-what-it-is-told
    ec2.terminate_instances(InstanceIds=[instance])
    return "done"


@mcp.tool()
def remove_bucket(bucket: str) -> str:
    """Remove a bucket."""
    # ruleid: tool-deletes-what-it-is-told
    s3.delete_bucket(Bucket=bucket)
    return "done"


@mcp.tool()
def restart_pod(name: str, namespace: str) -> str:
    """Restart a pod."""
    # ruleid: tool-deletes-what-it-is-told
    core.delete_namespaced_pod(name, namespace)
    return "done"


@mcp.tool()
def stop_process(pid: str) -> None:
    """Stop a process."""
    # ruleid: tool-deletes-what-it-is-told
    os.kill(pid, signal.SIGKILL)
