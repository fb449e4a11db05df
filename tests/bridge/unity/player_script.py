#!/usr/bin/env python3
"""Sends the messages of messages.bin beside it, one per call, and keeps the replies in replies.bin."""

import struct
import sys
from pathlib import Path

import grpc

STOP = b"\x0a\x03\x08\x90\x03"  # a header of status 400
HERE = Path(__file__).parent


def frames(data):
    while data:
        (size,) = struct.unpack_from("<I", data)
        yield data[4 : 4 + size]
        data = data[4 + size :]


def main():
    port = sys.argv[sys.argv.index("--mlagents-port") + 1]
    call = grpc.insecure_channel(f"localhost:{port}").unary_unary("/communicator_objects.UnityToExternalProto/Exchange")
    with (HERE / "replies.bin").open("wb") as log:
        for frame in [*frames((HERE / "messages.bin").read_bytes()), STOP]:
            try:
                reply = call(frame, wait_for_ready=True)
            except grpc.RpcError:
                return
            log.write(struct.pack("<I", len(reply)) + reply)
            log.flush()
            if reply.startswith(STOP):
                return


if __name__ == "__main__":
    main()
