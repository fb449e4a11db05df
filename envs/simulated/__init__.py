"""Unity's side of the ML-Agents wire, without Unity: what every simulated build shares.

Imports the standard library, numpy, grpc and Pillow only. The messages are encoded by hand, so that no bug of a decoder
shared with the trainer can cancel another, and so that a build runs in any Python that has grpc, whatever protobuf it
pins.
"""
