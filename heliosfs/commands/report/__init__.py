"""The report: one HTML page with experiments, scores and the graph of commits.

`page` puts it together from the `commits` it shows, their `details`, and the `template`, whose
style and scripts lie in `web/`.
"""
