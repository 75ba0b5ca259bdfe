"""``python -m training explore``: one HTML page that shows a user's own data, and what a model makes of them.

One module for each part of the page, with its numbers and its drawings: `population`, `examples`, `correlations`,
`first_layer`, `mistakes`, `calibration`, `uncertainty`. `report` puts them together, `content` says what a part is made
of, `embed` turns drawings and pixels into text that stands in the page, and `scoring` runs the model.
"""
