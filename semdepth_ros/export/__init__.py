"""The network as ONNX and TensorRT files."""
