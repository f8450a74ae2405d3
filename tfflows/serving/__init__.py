"""A local HTTP server for development: an exported flow's signatures, and a web page to look at it.

`model.py` answers requests with arrays, `rest.py` and `v2.py` translate two protocols into that,
`page.py` has what the web page asks for besides, and `app.py` puts them behind HTTP.
"""
