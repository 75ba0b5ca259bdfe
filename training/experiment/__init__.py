"""``python -m training experiment``: rows of one table, each made again by one command from one settings file.

`rows` and `plan` are the settings file, `perform` does what a row says, `measure` scores what was trained, `results` is
what is kept of it, `table` shows all of it on a page.
"""
