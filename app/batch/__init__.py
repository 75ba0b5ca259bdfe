"""Many images in one request: what is asked as it comes in, a bounded number in work, and one result for each."""
