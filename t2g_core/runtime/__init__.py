"""Exported methods: ONNX graphs and what says how to run them."""
