"""The ``molae`` command line: options in, one workflow called, results printed."""
