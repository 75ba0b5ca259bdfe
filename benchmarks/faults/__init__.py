"""What becomes of accepted requests while everything goes wrong."""
