from concurrent import futures

import grpc
import zmq
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntimeHost

context = zmq.Context()


def serve_tasks(address: str) -> None:
    socket = context.socket(zmq.REP)
    # ok: agent-channel-open-to-network
    socket.bind("tcp://127.0.0.1:5557")
    # ok: agent-channel-open-to-network
    socket.bind("ipc:///run/agents/tasks")
    # ok: agent-channel-open-to-network
    socket.bind(address)


def serve_with_keys() -> None:
    socket = context.socket(zmq.REP)
    socket.curve_server = True
    # ok: agent-channel-open-to-network
    socket.bind("tcp://*:5558")


def serve_grpc() -> None:
    server = grpc.server(futures.ThreadPoolExecutor())
    # ok: agent-channel-open-to-network
    server.add_secure_port("[::]:50051", credentials)
    # ok: agent-channel-open-to-network
    server.add_insecure_port("localhost:50051")


# ok: agent-channel-open-to-network
host = GrpcWorkerAgentRuntimeHost(address="localhost:50051")
