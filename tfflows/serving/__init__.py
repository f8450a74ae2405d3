"""A local HTTP server for development: exported flows' signatures, and a web page to look at them.

`model.py` answers requests with arrays, `rest.py` and `v2.py` translate two protocols into that,
`observation.py` counts and logs them, `page.py` has what the web page asks for besides, and
`app.py` puts them behind HTTP.
"""
