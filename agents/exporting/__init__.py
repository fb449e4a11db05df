"""From a trained agent to an ONNX file, and proofs that it is one. The only importer of onnx and onnxruntime.

- `graph`: a Q-network as ONNX nodes. `model`: the file around it, in Unity's form or the plain one.
- `loader`: what Unity demands of a file, restated; it knows neither agent nor network.
- `policy`: plays a file by ONNX Runtime. `proofs`: the file against the agent.
- `card`: the text beside the file. `command`, `play`: what `agents.export` and `agents.evaluate --onnx` do.
"""
