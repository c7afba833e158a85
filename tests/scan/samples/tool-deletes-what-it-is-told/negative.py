import boto3
from kubernetes import client
from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("operations")
ec2 = boto3.client("ec2")
s3 = boto3.client("s3")
core = client.CoreV1Api()
ALLOWED_BUCKETS = {"agent-scratch"}


@tool
def stop_server(instance: str) -> str:
    """Stop a server."""
    if not confirm_with_user(f"Terminate {instance}?"):
        return "refused"
    # ok: tool-deletes-what-it-is-told
    ec2.terminate_instances(InstanceIds=[instance])
    return "done"


@mcp.tool()
def remove_bucket(bucket: str) -> str:
    """Remove a bucket."""
    if bucket not in ALLOWED_BUCKETS:
        raise ValueError(bucket)
    # ok: tool-deletes-what-it-is-told
    s3.delete_bucket(Bucket=bucket)
    return "done"


@mcp.tool()
def remove_own_pod(name: str) -> str:
    """Remove a pod that the agent started."""
    if not name.startswith("agent-"):
        raise ValueError(name)
    # ok: tool-deletes-what-it-is-told
    core.delete_namespaced_pod(name, "agents")
    return "done"


@mcp.tool()
def list_pods(namespace: str) -> str:
    """List pods."""
    # ok: tool-deletes-what-it-is-told
    return str(core.list_namespaced_pod(namespace))


def remove(bucket: str) -> None:
    # ok: tool-deletes-what-it-is-told
    s3.delete_bucket(Bucket=bucket)
