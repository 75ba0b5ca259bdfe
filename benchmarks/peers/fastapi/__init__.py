"""FastAPI and uvicorn, and nothing else."""
