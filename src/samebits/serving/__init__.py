"""`samebits serve`: an exported model behind HTTP, by FastAPI, uvicorn and ONNX Runtime."""
