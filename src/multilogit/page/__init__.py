"""A report as one HTML page that needs nothing else: no network, no script, no other file.

``document`` has what a page consists of, as plain values; ``html`` renders it; ``css`` is how it
looks on a screen, a phone and paper. Nothing here knows of models.
"""
