"""Tables in files, one format a module: each is read and written a few thousand rows at a time."""
