"""What the service tells of itself: what is counted, a line for each request, and traces."""
