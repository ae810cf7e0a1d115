"""`t2g export`: a trained method as ONNX graphs."""
