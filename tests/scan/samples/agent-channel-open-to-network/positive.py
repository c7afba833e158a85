from concurrent import futures
from multiprocessing.managers import BaseManager

import grpc
import zmq
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntimeHost

context = zmq.Context()


def serve_tasks(port: int) -> None:
    socket = context.socket(zmq.REP)
    # ruleid: agent-channel-open-to-network
    socket.bind("tcp://*:5557")
    events = context.socket(zmq.PUB)
    # ruleid: agent-channel-open-to-network
    events.bind(f"tcp://0.0.0.0:{port}")


def serve_grpc() -> None:
    server = grpc.server(futures.ThreadPoolExecutor())
    # ruleid: agent-channel-open-to-network
    server.add_insecure_port("[::]:50051")
    server.start()


# ruleid: agent-channel-open-to-network
host = GrpcWorkerAgentRuntimeHost(address="0.0.0.0:50051")
# ruleid: agent-channel-open-to-network
manager = BaseManager(address=("0.0.0.0", 50000), authkey=b"agents")
