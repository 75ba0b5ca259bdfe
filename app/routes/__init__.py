"""HTTP to domain and back, nothing else; one file a resource."""
