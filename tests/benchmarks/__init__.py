"""
What a scrape and a call cost, beside the libraries that others use: `python -m tests.benchmarks`.

Every bench measures ours and its peers in the same run, each in a process of its own, and gives rows of one table::

    __main__    the command line; prints the table and keeps it in RESULTS.md
    report      a row, its bar and its verdict
    benches/    one bench per module
    servers/    the Python processes that are measured
    peers/      the Go ones
    setting     what must be installed or built first
    program     a measured process: started, ordered about over its stdin, watched
    scraper     an HTTP client that costs next to nothing
"""
